import AxeBuilder from "@axe-core/playwright";
import { expect, test, type Page } from "@playwright/test";
import { checkout, large, send, serve, traceId, type Server } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await serve();
  for (let i = 0; i < 30; i++) await send(server, traceId(100 + i), checkout.slice(0, 2), Date.now() - 600_000 + i * 10_000);
  await send(server, traceId(2), checkout.slice(0, 1));
  await send(server, traceId(1), checkout);
});
test.afterAll(() => server?.stop());

async function accessible(page: Page) {
  const found = await new AxeBuilder({ page }).analyze();
  expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(", ")}`)).toEqual([]);
}

for (const scheme of ["light", "dark"] as const)
  for (const [width, height] of [
    [1440, 900],
    [390, 844],
  ])
    test(`pages are accessible: ${scheme}, ${width} wide`, async ({ browser }) => {
      const context = await browser.newContext({ colorScheme: scheme, viewport: { width, height } });
      const page = await context.newPage();
      await page.goto(server.url + "/search");
      await expect(page.getByText("traces").first()).toBeVisible();
      await accessible(page);
      await page.goto(`${server.url}/trace/${traceId(1)}?span=0000000000000003`);
      await expect(page.getByText("card declined").first()).toBeVisible();
      await accessible(page);
      await context.close();
    });

test("search narrows, and its state is in the URL", async ({ page }) => {
  await page.goto(server.url + "/");
  await expect(page).toHaveURL(/\/search/);
  await page.getByLabel("Service, or a trace ID").fill("payment");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(/service=payment/);
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.getByLabel("Attribute: key=value, or key alone").fill("app.user.tier=retail");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page.getByText("No trace matches")).toBeVisible();
  await page.goBack();
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.getByRole("row").filter({ hasText: "POST /checkout" }).getByRole("link").click();
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(1)));
});

test("a refused search says why", async ({ page }) => {
  await page.goto(server.url + "/search?limit=100000");
  await expect(page.getByRole("alert")).toContainText("want 1 to 2000");
});

test("pasted headers and foreign links land on the trace or search", async ({ page }) => {
  await page.goto(server.url + "/search");
  await expect(page.getByRole("button", { name: "Search" })).toBeVisible();
  await page.keyboard.press("Control+k");
  await page.getByRole("combobox", { name: "Jump to or run" }).fill(`traceparent: 00-${traceId(1)}-0000000000000003-01`);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(1)));
  await page.goto(`${server.url}/zipkin/traces/${traceId(1)}`);
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(1)));
  await page.goto(`${server.url}/search?service=cart&lookback=2h&tags=%7B%22app.user.tier%22%3A%22wholesale%22%7D`);
  await expect(page.getByText("app.user.tier=wholesale")).toBeVisible();
});

test("a trace shows its error, gap, repeats and details, by keys", async ({ page }) => {
  await page.goto(`${server.url}/trace/${traceId(1)}`);
  const grid = page.getByRole("treegrid");
  await expect(grid.getByRole("row").filter({ hasText: "SELECT items" })).toHaveCount(1);
  await expect(grid).toContainText("×6");
  await expect(grid).toContainText("never arrived");
  await page.keyboard.press("e");
  const dock = page.getByRole("complementary", { name: "Span detail" });
  await expect(dock).toContainText("card declined");
  await expect(dock).toContainText("at charge (payment.js:10)");
  await expect(page).toHaveURL(/span=0000000000000003/);
  await dock.getByRole("link", { name: /00000000…0002/ }).click();
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(2)));
  await page.goBack();
  await expect(dock).toContainText("card declined");
  await page.keyboard.press("m");
  await expect(dock).toContainText("Never arrived");
  await page.keyboard.press("]");
  await expect(grid.getByRole("row").filter({ hasText: "SELECT items" })).toHaveCount(6);
  await page.keyboard.press("[");
  await expect(grid.getByRole("row").filter({ hasText: "GetCart" })).toHaveAttribute("aria-expanded", "false");
  await page.keyboard.press("/");
  await page.keyboard.type("charge");
  await expect(page.getByText("1 of 11 match")).toBeVisible();
  await expect(grid.getByRole("row")).toHaveCount(2);
});

test("an unknown and a malformed trace ID say so", async ({ page }) => {
  await page.goto(`${server.url}/trace/${traceId(0xabcdef)}`);
  await expect(page.getByRole("heading", { name: "No such trace" })).toBeVisible();
  await page.goto(`${server.url}/trace/xyz`);
  await expect(page.getByRole("heading", { name: "That is no trace ID" })).toBeVisible();
});

for (const n of [10_000, 100_000])
  test(`a trace of ${n} spans opens and scrolls with few rows`, async ({ page }) => {
    test.slow();
    const id = traceId(n);
    const spans = large(n);
    for (let i = 0; i < spans.length; i += 10_000) await send(server, id, spans.slice(i, i + 10_000));
    let calls = 0;
    page.on("request", (r) => (calls += r.url().includes("/api/v1/traces/") ? 1 : 0));
    const begin = Date.now();
    await page.goto(`${server.url}/trace/${id}`);
    await expect(page.getByRole("treegrid").getByRole("row").first()).toBeVisible();
    const opened = Date.now() - begin;
    await page.keyboard.press("]");
    const frames = await page.getByRole("treegrid").evaluate(async (el) => {
      const times: number[] = [];
      for (let i = 0; i < 60; i++) {
        const t = performance.now();
        el.scrollTop += 700;
        await new Promise(requestAnimationFrame);
        times.push(performance.now() - t);
      }
      return times.sort((a, b) => a - b);
    });
    console.log(
      `${n} spans: open ${opened} ms, scroll frame median ${frames[30].toFixed(1)} ms, worst ${frames[59].toFixed(1)} ms`,
    );
    expect(await page.getByRole("treegrid").getByRole("row").count()).toBeLessThan(120);
    expect(calls).toBeLessThan(4);
  });
