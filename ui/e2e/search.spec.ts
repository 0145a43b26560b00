import { expect, test } from "./page";
import { checkout, send, serve, traceId, type Server } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await serve();
  for (let i = 0; i < 130; i++)
    await send(server, traceId(100 + i), [{ ...checkout[0], ms: 20 + i * 10 }], Date.now() - 600_000 + i * 1000);
  await send(server, traceId(1), checkout);
});
test.afterAll(() => server?.stop());

test("search narrows, its state is in the URL, and Back undoes", async ({ page }) => {
  await page.goto(server.url + "/");
  await expect(page).toHaveURL(/\/search/);
  const service = page.getByLabel("Service, or a trace ID");
  await service.fill("pay");
  await page.getByRole("option", { name: "payment" }).click();
  await expect(service).toHaveValue("payment");
  await page.getByLabel("Operation").click();
  await page.getByRole("option", { name: "Charge" }).click();
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(/service=payment&operation=Charge/);
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.getByLabel("Attribute: key=value, or key alone").fill("app.retries=4");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { name: "No trace matches" })).toBeVisible();
  await expect(page.getByRole("button", { name: "without app.retries=4 1 trace" })).toBeVisible();
  await page.goBack();
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.goForward();
  await page.getByRole("button", { name: "without app.retries=4" }).click();
  await page.getByRole("row").filter({ hasText: "POST /checkout" }).getByRole("link").click();
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(1)));
});

test("tags with quotes, spaces and signs find what they say, and several must hold", async ({ page }) => {
  await page.goto(server.url + "/search");
  const box = page.getByLabel("Attribute: key=value, or key alone");
  await box.fill("app.retries=3");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await box.fill('app.user.tier="wholesale" app.retries');
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: 'Remove app.user.tier="wholesale" app.retries' })).toBeVisible();
  await expect(page.getByRole("heading", { name: "No trace matches" })).toBeVisible();
  await page.getByRole("button", { name: /^Remove app.user/ }).click();
  await box.fill('error=true app.retries="3"');
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Remove error=true" })).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
});

test("more is loaded page by page, without a trace twice", async ({ page }) => {
  await page.goto(server.url + "/search");
  await expect(page.getByRole("status").filter({ hasText: "The newest 100 traces" })).toBeVisible();
  await expect(page.getByText("scanned 100 %")).toBeVisible();
  await page.getByRole("button", { name: "Load more" }).click();
  await expect(page.getByRole("status").filter({ hasText: "131 traces" })).toBeVisible();
  const links = await page.locator("tbody a").evaluateAll((all) => all.map((a) => a.getAttribute("href")));
  expect(new Set(links).size).toBe(131);
});

test("keys go through the list, open a trace, and come back", async ({ page }) => {
  await page.goto(server.url + "/search");
  await expect(page.locator("tbody a").first()).toBeVisible();
  await page.keyboard.press("j");
  await page.keyboard.press("j");
  await expect(page.locator("tbody a").nth(1)).toBeFocused();
  await page.keyboard.press("k");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(1)));
  await page.goBack();
  await expect(page).toHaveURL(/\/search/);
  await page.keyboard.press("/");
  await expect(page.getByLabel("Service, or a trace ID")).toBeFocused();
});

test("a box in the picture narrows to the traces in it", async ({ page }) => {
  await page.goto(server.url + "/search?operation=POST+%2Fcheckout");
  const canvas = page.locator("canvas");
  await expect(canvas).toBeVisible();
  const b = (await canvas.boundingBox())!;
  await page.mouse.move(b.x + 60, b.y + 16);
  await page.mouse.down();
  await page.mouse.move(b.x + b.width - 20, b.y + 60, { steps: 4 });
  const held = await page.getByText(/^\d+ traces, .* to /).innerText();
  await page.mouse.up();
  await expect(page).toHaveURL(/tmin=\d+/);
  await expect(page.getByText(/^trace takes .* or more/)).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: held.split(",")[0] })).toBeVisible();
  await page.goBack();
  await expect(page).not.toHaveURL(/tmin/);
});

test("times can be given, and a wrong duration is told before it is sent", async ({ page }) => {
  await page.goto(server.url + "/search");
  await page.getByRole("combobox", { name: /^Time/ }).selectOption("From, to…");
  await page.getByLabel("From", { exact: true }).fill("2020-01-01T00:00:00");
  await page.getByLabel("To, empty for now").fill("2020-01-02T00:00:00");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page).toHaveURL(/from=157\d{16}&to=157\d{16}/);
  await expect(page.getByRole("heading", { name: "No trace matches" })).toBeVisible();
  await page.getByLabel("Span at least").fill("fast");
  await page.getByRole("button", { name: "Search" }).click();
  await expect(page.getByRole("alert")).toContainText("such as 200ms");
});

test("a refused search says why", async ({ page }) => {
  await page.goto(server.url + "/search?limit=100000");
  await expect(page.getByRole("alert")).toContainText("want 1 to 2000");
});

test("an answer that is not complete says so", async ({ page }) => {
  await page.route("**/api/v1/search?*", async (route) => {
    const answer = await (await route.fetch()).json();
    answer.scanned = { ...answer.scanned, complete: false, reason: "block 7 is damaged" };
    await route.fulfill({ json: answer });
  });
  await page.goto(server.url + "/search");
  await expect(page.getByText("scanned in part: block 7 is damaged")).toBeVisible();
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
  await page.goto(`${server.url}/zipkin/?serviceName=payment&annotationQuery=error`);
  await expect(page.getByRole("button", { name: "Remove error=true" })).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.goto(`${server.url}/search?service=cart&lookback=2h&tags=%7B%22app.user.tier%22%3A%22wholesale%22%7D`);
  await expect(page.getByText("app.user.tier=wholesale")).toBeVisible();
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await page.goto(`${server.url}/trace/${traceId(1)}?uiFind=charge`);
  await expect(page.getByRole("treegrid").getByRole("row")).toHaveCount(2);
  await page.goto(`${server.url}/trace/${traceId(1)}...${traceId(2)}?cohort=${traceId(1)}&cohort=${traceId(2)}`);
  await expect(page).toHaveURL((u) => u.pathname === `/trace/${traceId(1)}`);
  await expect(page.getByRole("treegrid")).toBeVisible();
  for (const path of [
    "/dependencies",
    "/deep-dependencies?service=cart",
    "/monitor?service=cart&lookback=1h",
    "/quality-metrics",
  ]) {
    await page.goto(server.url + path);
    await expect(page).toHaveURL(
      (u) => u.pathname === "/search" && u.searchParams.get("service") === (path.includes("cart") ? "cart" : null),
    );
  }
  await page.goto(`${server.url}/no/such/page`);
  await expect(page.getByRole("heading", { name: "There is no such page" })).toBeVisible();
});
