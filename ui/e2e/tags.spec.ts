import { accessible, expect, looks, test } from "./page";
import { checkout, send, serve, traceId, type Server } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await serve();
  await send(server, traceId(1), checkout);
});
test.afterAll(() => server?.stop());

const label = "Attribute: key=value, or key alone";

test("keys and then their values are completed by keyboard, and found", async ({ page }) => {
  await page.goto(server.url + "/search");
  const box = page.getByLabel(label);
  await box.click();
  await expect(page.getByRole("option", { name: "service.version" })).toBeVisible();
  await page.keyboard.type("TIER");
  await expect(page.getByRole("option")).toHaveCount(1);
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(box).toHaveValue("app.user.tier=");
  await expect(page.getByRole("listbox", { name: "Values of app.user.tier" })).toBeVisible();
  await page.keyboard.press("ArrowDown");
  await page.keyboard.press("Enter");
  await expect(box).toHaveValue("app.user.tier=wholesale");
  await expect(page.getByRole("listbox")).toBeHidden();
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/tag=app.user.tier%3Dwholesale/);
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
});

test("a second tag is completed behind the first, quoted where it must be, and Escape closes", async ({ page }) => {
  await page.goto(server.url + "/search");
  const box = page.getByLabel(label);
  await box.fill("app.retries=3 request.b");
  await page.getByRole("option", { name: "http.request.body" }).click();
  await expect(box).toHaveValue("app.retries=3 http.request.body=");
  await page.getByRole("option", { name: "4111" }).click();
  await expect(box).toHaveValue(/^app.retries=3 http.request.body="{\\"card\\":/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("status").filter({ hasText: "1 trace" })).toBeVisible();
  await box.fill("app.r");
  await expect(page.getByRole("option", { name: "app.retries" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("listbox")).toBeHidden();
  await expect(box).toHaveValue("app.r");
});

test("what is not in the list is searched as it was typed, and a key that came just now is offered", async ({ page }) => {
  await page.goto(server.url + "/search");
  const box = page.getByLabel(label);
  await box.fill("no.such=thing");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Remove no.such=thing" })).toBeVisible();
  await send(server, traceId(2), [{ ...checkout[0], attributes: { "brand.new": "yes" } }]);
  await page.reload();
  await box.fill("brand");
  await expect(page.getByRole("option", { name: "brand.new" })).toBeVisible();
});

test("only the service's keys are offered", async ({ page }) => {
  await page.goto(server.url + "/search?service=cart");
  const box = page.getByLabel(label);
  await box.click();
  await expect(page.getByRole("option", { name: "app.user.tier" })).toBeVisible();
  await expect(page.getByRole("option", { name: "db.statement" })).toBeHidden();
});

for (const look of looks)
  test(`completion is accessible, ${look.colorScheme}, ${look.viewport.width} wide`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: look.colorScheme });
    await page.setViewportSize(look.viewport);
    await page.goto(server.url + "/search");
    const box = page.getByLabel(label);
    await box.fill("app.");
    await page.keyboard.press("ArrowDown");
    await expect(page.getByRole("option", { name: "app.user.tier" })).toBeVisible();
    await accessible(page, ".pop");
    const dir = process.env.SHOTS;
    if (dir) await page.screenshot({ path: `${dir}/keys-${look.colorScheme}-${look.viewport.width}.png` });
    await box.fill("http.request.body=");
    await expect(page.getByRole("option", { name: "4111" })).toBeVisible();
    await accessible(page, ".pop");
    if (dir) await page.screenshot({ path: `${dir}/values-${look.colorScheme}-${look.viewport.width}.png` });
  });
