import { expect, test } from "./page";
import { checkout, large, send, serve, traceId, type Server } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await serve();
  await send(server, traceId(2), checkout.slice(0, 1));
  await send(server, traceId(1), checkout);
});
test.afterAll(() => server?.stop());

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
  await expect(dock).toContainText("card tried again");
  await expect(page).toHaveURL(/span=0000000000000003/);
  await dock.getByRole("link", { name: /00000000…0002/ }).click();
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(2)));
  await page.goBack();
  await expect(dock).toContainText("card declined");
  await page.keyboard.press("m");
  await expect(dock).toContainText("Never arrived");
  await page.keyboard.press("Escape");
  await expect(dock).toBeHidden();
  await page.keyboard.press("]");
  await expect(grid.getByRole("row").filter({ hasText: "SELECT items" })).toHaveCount(6);
  await expect(page).toHaveURL(/open=all/);
  await page.keyboard.press("[");
  await expect(grid.getByRole("row").filter({ hasText: "GetCart" })).toHaveAttribute("aria-expanded", "false");
  await expect(page).toHaveURL(/fold=all/);
  await page.reload();
  await expect(grid.getByRole("row").filter({ hasText: "GetCart" })).toHaveAttribute("aria-expanded", "false");
  await page.keyboard.press("/");
  await page.keyboard.type("charge");
  await expect(page.getByText("1 of 11 rows matches")).toBeVisible();
  await expect(grid.getByRole("row")).toHaveCount(2);
  await page.keyboard.press("Escape");
  await page.keyboard.press("c");
  await expect(grid.getByRole("row").filter({ hasText: "Score" })).toHaveCount(0);
});

test("arrow keys move through the tree as in any tree", async ({ page }) => {
  await page.goto(`${server.url}/trace/${traceId(1)}`);
  const grid = page.getByRole("treegrid");
  const selected = grid.locator("[aria-selected=true]");
  await expect(grid.getByRole("row").first()).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await expect(selected).toContainText("POST /checkout");
  await page.keyboard.press("ArrowRight");
  await expect(selected).toContainText("GetCart");
  await page.keyboard.press("ArrowRight");
  await expect(selected).toContainText("SELECT items");
  await page.keyboard.press("ArrowRight");
  await expect(grid.getByRole("row").filter({ hasText: "SELECT items" })).toHaveCount(6);
  await page.keyboard.press("ArrowLeft");
  await expect(grid.getByRole("row").filter({ hasText: "SELECT items" })).toHaveCount(1);
  await page.keyboard.press("ArrowLeft");
  await expect(selected).toContainText("GetCart");
  await page.keyboard.press("ArrowLeft");
  await expect(grid.getByRole("row").filter({ hasText: "SELECT items" })).toHaveCount(0);
  await page.keyboard.press("ArrowLeft");
  await expect(selected).toContainText("POST /checkout");
});

test("values of every kind are shown whole and can be copied or searched for", async ({ page, context }) => {
  await context.grantPermissions(["clipboard-read", "clipboard-write"]);
  await page.goto(`${server.url}/trace/${traceId(1)}?span=0000000000000003`);
  const dock = page.getByRole("complementary", { name: "Span detail" });
  await expect(dock).toContainText('"sku": "a-1"');
  await expect(dock).toContainText('[504,"<b>late</b>"]');
  await expect(dock).toContainText("WHERE owner = 'O''Brien'");
  await expect(dock).toContainText("nothing");
  await expect(dock).toContainText("service.version");
  await dock.getByRole("button", { name: "… all 3.9 kB" }).click();
  await expect(dock.getByRole("button", { name: "less" })).toBeVisible();
  await dock.getByRole("button", { name: "Copy the value of db.statement" }).click();
  expect(await page.evaluate(() => navigator.clipboard.readText())).toContain("\n  FROM cards\n");
  await dock.getByRole("link", { name: /^Keep only db.statement=/ }).click();
  await expect(page).toHaveURL(/\/search\?tag=db.statement/);
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.goBack();
  await page.keyboard.press("f");
  await expect(page).toHaveURL(/service=payment&operation=Charge/);
});

test("dragging over the minimap zooms, keys move, and all of it is in the URL", async ({ page }) => {
  await page.goto(`${server.url}/trace/${traceId(1)}`);
  const map = page.getByRole("img", { name: /spans in time/ });
  const b = (await map.boundingBox())!;
  await page.mouse.move(b.x + b.width * 0.25, b.y + 20);
  await page.mouse.down();
  await page.mouse.move(b.x + b.width * 0.5, b.y + 20, { steps: 4 });
  await page.mouse.up();
  await expect(page).toHaveURL(/z=\d+-\d+/);
  const url = page.url();
  await page.keyboard.press("d");
  await expect(page).not.toHaveURL(url);
  await page.keyboard.press("0");
  await expect(page).not.toHaveURL(/z=/);
});

test("help and palette have every key of the page, and run it", async ({ page }) => {
  await page.goto(`${server.url}/trace/${traceId(1)}`);
  await expect(page.getByRole("treegrid").getByRole("row").first()).toBeVisible();
  await page.keyboard.press("?");
  const help = page.getByRole("dialog", { name: "Keys" });
  await expect(help).toBeVisible();
  const labels = await help.locator("section").first().locator("dt").allInnerTexts();
  expect(labels.length).toBeGreaterThan(20);
  await page.keyboard.press("Escape");
  await expect(help).toBeHidden();
  await page.keyboard.press("Control+k");
  const find = page.getByRole("combobox", { name: "Jump to or run" });
  for (const label of labels) {
    await find.fill(label);
    await expect(page.getByRole("option").filter({ hasText: label }).first()).toBeVisible();
  }
  await find.fill("next error");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/span=0000000000000003/);
  await page.keyboard.press("t");
  await expect(page.locator("html")).toHaveAttribute("data-theme", /light|dark/);
});

test("an unknown and a malformed trace ID say so; a trace that comes later is found", async ({ page }) => {
  await page.goto(`${server.url}/trace/xyz`);
  await expect(page.getByRole("heading", { name: "That is no trace ID" })).toBeVisible();
  await page.goto(`${server.url}/trace/${traceId(0xabcdef)}`);
  await expect(page.getByRole("heading", { name: "No such trace" })).toBeVisible();
  await send(server, traceId(0xabcdef), checkout.slice(0, 1));
  await page.getByRole("button", { name: "Look again" }).click();
  await expect(page.getByRole("treegrid")).toContainText("POST /checkout");
});

for (const n of [10_000, 100_000])
  test(`a trace of ${n} spans opens, scrolls with few rows, and has a short URL whatever is folded`, async ({ page }) => {
    test.slow();
    const id = traceId(n);
    const spans = large(n);
    for (let i = 0; i < spans.length; i += 10_000) await send(server, id, spans.slice(i, i + 10_000));
    const begin = Date.now();
    await page.goto(`${server.url}/trace/${id}`);
    const grid = page.getByRole("treegrid");
    await expect(grid.getByRole("row").first()).toBeVisible();
    const opened = Date.now() - begin;
    await page.keyboard.press("]");
    const frames = await grid.evaluate(async (el) => {
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
    expect(await grid.getByRole("row").count()).toBeLessThan(120);
    await page.keyboard.press("[");
    await expect(page).toHaveURL(/fold=all/);
    expect(page.url().length).toBeLessThan(300);
    await page.keyboard.press("e");
    await expect(grid.locator("[aria-selected=true]")).toBeVisible();
    await page.reload();
    await expect(grid.locator("[aria-selected=true]")).toBeVisible();
  });
