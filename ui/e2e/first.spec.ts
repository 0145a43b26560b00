import { expect, test } from "@playwright/test";
import { checkout, send, serve, traceId, type Server } from "./server";

let server: Server;
test.beforeAll(async () => {
  server = await serve();
});
test.afterAll(() => server?.stop());

test("an empty store waits for the first span and opens it", async ({ page }) => {
  await page.goto(server.url + "/");
  await expect(page.getByRole("heading", { name: "Send the first trace" })).toBeVisible();
  await expect(page.getByText("Waiting for spans")).toBeVisible();
  await page.getByRole("tab", { name: "Zipkin" }).click();
  await expect(page.getByText("Zipkin v2 JSON")).toBeVisible();
  const policy = (await page.goto(server.url + "/"))?.headers()["content-security-policy"];
  expect(policy).toContain("default-src 'self'");
  await send(server, traceId(7), checkout);
  await expect(page).toHaveURL(new RegExp("/trace/" + traceId(7)));
  await expect(page.getByRole("treegrid")).toContainText("Charge");
});
