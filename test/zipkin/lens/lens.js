// Opens Zipkin's page in a browser, as a user does, and prints what it shows: node lens.js BROWSER URL SERVICE TRACE
const { chromium } = require("playwright-core");

const [browserPath, url, service, traceId] = process.argv.slice(2);

/** What a part of a page says, without what says how long ago something was. */
const words = async (part) => (await part.innerText()).split(/\s*\n\s*/).filter((s) => s && !/ ago$/.test(s));

async function look(page) {
  const [out, end] = [{}, Date.now()];
  const back = 24 * 3600_000; // until now: the button changes the end
  await page.goto(`${url}/zipkin/?serviceName=${service}&lookback=millis&millis=${back}&endTs=${end}&limit=10`);
  await page.getByText("Show", { exact: true }).first().waitFor();
  // Once more by the button, without what the page did by itself.
  const asked = page.waitForResponse((r) => r.url().includes("/api/v2/traces?"));
  await page.getByRole("button", { name: "Run query" }).click();
  await asked;
  await page.getByText("Show", { exact: true }).first().waitFor();
  out.found = await words(page.locator("table").first());

  await page.getByText("Show", { exact: true }).first().click();
  await page.getByText("Span ID", { exact: true }).waitFor();
  out.first = await words(page.locator("#root"));
  await page.locator("header input[type=text]").first().fill(traceId);
  await page.keyboard.press("Enter");
  await page.getByText(traceId, { exact: true }).waitFor();
  out.trace = await words(page.locator("#root"));

  await page.goto(`${url}/zipkin/dependency?startTime=${end - back}&endTime=${end}`);
  await page.locator("canvas").first().waitFor();
  await page.getByRole("textbox", { name: "Filter" }).click();
  out.services = (await words(page.getByRole("listbox"))).sort();
  return out;
}

(async () => {
  const browser = await chromium.launch({
    executablePath: browserPath,
    args: ["--no-sandbox", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync", "--enable-unsafe-swiftshader"],
  });
  try {
    const page = await browser.newPage({ viewport: { width: 1440, height: 900 }, timezoneId: "UTC" });
    page.setDefaultTimeout(30_000);
    const wrong = [];
    page.on("pageerror", (e) => wrong.push(String(e)));
    page.on("requestfailed", (r) => wrong.push(`${r.url()}: ${r.failure().errorText}`));
    page.on("response", (r) => r.status() >= 400 && wrong.push(`${r.status()} ${r.url()}`));
    try {
      console.log(JSON.stringify({ ...(await look(page)), wrong }));
    } catch (e) {
      throw new Error(`${e}\nat ${page.url()}, with ${JSON.stringify(wrong)}:\n${await page.locator("body").innerText()}`);
    }
  } finally {
    await browser.close();
  }
})().catch((e) => {
  console.error(e);
  process.exitCode = 1;
});
