// What holds on every page: accessibility in both themes, a path prefix, the policy, a server that goes away and comes back.
import { accessible, expect, looks, test } from "./page";
import { checkout, send, serve, traceId, type Server } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await serve("--query.prefix", "/clew");
  await send(server, traceId(2), checkout.slice(0, 1));
  await send(server, traceId(1), checkout);
});
test.afterAll(() => server?.stop());

for (const look of looks)
  test(`pages are accessible: ${look.colorScheme}, ${look.viewport.width} wide`, async ({ browser }) => {
    test.slow();
    const context = await browser.newContext({ ...look, reducedMotion: "reduce" });
    const page = await context.newPage();
    const narrow = look.viewport.width < 760;
    await page.goto(server.url + "/search?tag=app.retries&tag=error%3Dtrue");
    await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
    await accessible(page);
    await page.getByLabel("Service, or a trace ID").click();
    await expect(page.getByRole("option", { name: "payment" })).toBeVisible();
    // While a list is open, Base UI hides the rest of the page from readers, which axe takes amiss as long as it can be tabbed to.
    await accessible(page, "[role=listbox]");
    await page.goto(server.url + "/search?service=payment&min=90s");
    await expect(page.getByRole("button", { name: /of any duration 1 trace/ })).toBeVisible();
    await accessible(page);
    await page.goto(server.url + "/search?limit=0");
    await expect(page.getByRole("alert")).toBeVisible();
    await accessible(page);
    await page.goto(`${server.url}/trace/${traceId(1)}`);
    await expect(page.getByRole("treegrid").getByRole("row").first()).toBeVisible();
    const title = await page.getByRole("heading", { level: 1 }).boundingBox();
    expect(title!.height).toBeLessThan(60); // not a letter a line
    await accessible(page);
    await page.keyboard.press("e");
    if (narrow) await page.getByRole("button", { name: "More" }).click();
    await expect(page.getByText("at charge (payment.js:10)")).toBeVisible();
    await accessible(page);
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    expect(wide).toBeLessThanOrEqual(0);
    await page.keyboard.press("?");
    await expect(page.getByRole("dialog", { name: "Keys" })).toBeVisible();
    await expect(page.getByRole("link", { name: "this API, as OpenAPI" })).toHaveAttribute(
      "href",
      `${server.url}/api/v1/openapi.json`,
    );
    await accessible(page);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await expect(page.getByRole("dialog", { name: "Jump to or run" })).toBeVisible();
    await accessible(page);
    await page.goto(`${server.url}/trace/${traceId(99)}`);
    await expect(page.getByRole("heading", { name: "No such trace" })).toBeVisible();
    await accessible(page);
    await context.close();
  });

test("everything is under the prefix: files, calls, links and deep links", async ({ page }) => {
  const paths: string[] = [];
  page.on("request", (r) => paths.push(new URL(r.url()).pathname));
  const answer = await page.goto(`${server.url}/trace/${traceId(1)}?span=0000000000000003`);
  expect(answer!.headers()["content-security-policy"]).toContain("default-src 'self'");
  await expect(page.getByText("at charge (payment.js:10)")).toBeVisible();
  await page.getByRole("link", { name: "Clew, home" }).click();
  await expect(page).toHaveURL(/\/clew\/search/);
  await expect(page.getByRole("status").filter({ hasText: "2 traces" })).toBeVisible();
  expect(await page.locator("tbody a").first().getAttribute("href")).toBe(`/clew/trace/${traceId(1)}`);
  expect(paths.filter((p) => !p.startsWith("/clew/"))).toEqual([]);
});

for (const part of ["has", "does not have"])
  test(`a server that is gone is missed by a page that ${part} all its parts, and it goes on when it is back`, async ({
    page,
  }) => {
    test.slow();
    const own = await serve();
    const patient = { timeout: 20_000 };
    const tracePart = /\/assets\/trace-.*\.js$/;
    try {
      await send(own, traceId(1), checkout);
      if (part === "does not have") await page.route(tracePart, (r) => r.abort());
      const asked = page
        .waitForEvent("requestfinished", { predicate: (r) => tracePart.test(r.url()), ...patient })
        .catch(() => {});
      await page.goto(own.url + "/search");
      await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
      if (part === "has") await asked;
      await own.restart(async () => {
        await page
          .getByRole("link", { name: /POST \/checkout/ })
          .first()
          .click();
        await expect(page.getByRole("alert")).toContainText("Clew does not answer", patient);
        await expect(page.getByRole("status").filter({ hasText: "Clew does not answer" })).toBeVisible(patient);
        await page.unrouteAll();
      });
      await expect(page.getByRole("treegrid")).toContainText("Charge", patient);
      await expect(page.getByText("Clew does not answer")).toHaveCount(0, patient);
    } finally {
      await own.stop();
    }
  });

test("a copy works without the clipboard interface, which plain http on another machine does not have", async ({ page }) => {
  await page.addInitScript(() => Object.defineProperty(navigator, "clipboard", { value: undefined }));
  await page.goto(`${server.url}/trace/${traceId(1)}`);
  await page.getByRole("button", { name: "Copy link" }).click();
  await expect(page.getByRole("button", { name: "Copied" })).toBeVisible();
});
