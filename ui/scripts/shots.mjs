// Takes the pictures of the documents: runs clew demo for a while, and photographs its search and a checkout that failed and went on.
//
//   npm run build && go build -o ../bin/clew ../cmd/clew && node scripts/shots.mjs
//
// CLEW_BIN names another binary, CLEW_CHROMIUM another browser.
import { chromium } from "@playwright/test";
import { spawn } from "node:child_process";
import { mkdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

const out = fileURLToPath(new URL("../../docs/images/", import.meta.url));
const binary = process.env.CLEW_BIN ?? fileURLToPath(new URL("../../bin/clew", import.meta.url));

const freePort = () =>
  new Promise((done) => {
    const s = createServer().listen(0, "127.0.0.1", () => {
      const { port } = s.address();
      s.close(() => done(port));
    });
  });

async function until(what, check) {
  const end = Date.now() + 240_000;
  for (;;) {
    const found = await check().catch(() => undefined);
    if (found) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((done) => setTimeout(done, 1000));
  }
}

const query = await freePort();
const listen = [`--listen.query=127.0.0.1:${query}`];
for (const l of ["otlp_grpc", "otlp_http", "zipkin", "admin"]) listen.push(`--listen.${l}=127.0.0.1:${await freePort()}`);
const demo = spawn(binary, ["demo", "--rate", "1", ...listen], { stdio: ["ignore", "ignore", "inherit"] });
const url = `http://127.0.0.1:${query}`;
const search = async (q) => (await (await fetch(`${url}/api/v1/search?limit=100&${q}`)).json()).traces;
const browser = await chromium.launch({
  executablePath: process.env.CLEW_CHROMIUM ?? "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"],
});
try {
  mkdirSync(out, { recursive: true });
  // A checkout in which a payment failed, once there is enough around it to be a picture.
  await until("traces", async () => (await search("")).length >= 100);
  const trace = await until("a failed payment", async () =>
    (await search("service=payment&tag=error%3Dtrue")).find((t) => t.spans > 24 && t.gaps === 0 && t.rootService === "frontend"),
  );
  for (const colorScheme of ["light", "dark"]) {
    const page = await browser.newPage({ colorScheme, viewport: { width: 1440, height: 900 } });
    await page.goto(`${url}/search`);
    await page.locator("tbody a").first().waitFor();
    await shoot(page, `search-${colorScheme}`);
    await page.goto(`${url}/trace/${trace.traceId}`);
    await page.getByRole("row").first().waitFor();
    await page.keyboard.press("e");
    await page.getByRole("complementary").getByText("Attributes").waitFor();
    await shoot(page, `trace-${colorScheme}`);
    await page.close();
  }
} finally {
  await browser.close();
  demo.kill("SIGTERM");
}

async function shoot(page, name) {
  // Calls are over and the canvases drawn.
  await page.waitForLoadState("networkidle");
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await page.screenshot({ path: `${out}${name}.png` });
  console.log(`${name}.png: ${(statSync(`${out}${name}.png`).size / 1000).toFixed(0)} kB`);
}
