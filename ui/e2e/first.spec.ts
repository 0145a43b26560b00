import { execFileSync } from "node:child_process";
import { accessible, expect, looks, test } from "./page";
import { checkout, send, serve, traceId } from "./server";

test("an empty store waits for the first span and opens it, also what of it comes later", async ({ page }) => {
  const server = await serve();
  try {
    await page.goto(server.url + "/");
    await expect(page.getByRole("heading", { name: "Send the first trace" })).toBeVisible();
    await expect(page.getByText("Waiting for spans", { exact: true })).toBeVisible();
    await send(server, traceId(7), checkout.slice(0, 2), Date.now());
    await expect(page).toHaveURL(new RegExp("/trace/" + traceId(7)));
    await expect(page.getByRole("treegrid")).toContainText("GetCart");
    await send(server, traceId(7), checkout.slice(2), Date.now());
    await expect(page.getByRole("treegrid")).toContainText("Charge");
  } finally {
    await server.stop();
  }
});

for (const client of ["curl", "Zipkin"])
  test(`the ${client} snippet works as it stands`, async ({ page }) => {
    const server = await serve();
    try {
      await page.goto(server.url + "/");
      await page.getByRole("tab", { name: client, exact: true }).click();
      const text = await page.locator("pre:visible").innerText();
      expect(text).toContain(client === "curl" ? server.otlp : server.zipkin);
      execFileSync("bash", ["-c", text]);
      await expect(page).toHaveURL(/\/trace\/[0-9a-f]{32}/);
      await expect(page.getByRole("heading", { level: 1 })).toContainText("hello first span");
    } finally {
      await server.stop();
    }
  });

test("snippets name the addresses where it listens; tabs go by arrow keys; a copy is the whole snippet", async ({
  page,
  context,
}) => {
  const server = await serve();
  try {
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    await page.goto(server.url + "/");
    const shown = page.locator("pre:visible");
    await expect(shown).toContainText(server.otlp);
    await page.getByRole("tab", { name: "curl" }).focus();
    for (const [name, address] of [
      ["Node.js", server.otlp],
      ["Python", server.grpc],
      ["Java", server.otlp],
      ["Collector", server.grpc.replace("http://", "")],
      ["Zipkin", server.zipkin],
    ]) {
      await page.keyboard.press("ArrowRight");
      await expect(page.getByRole("tab", { name, exact: true })).toHaveAttribute("aria-selected", "true");
      await expect(shown).toContainText(address);
    }
    await page.getByRole("button", { name: "Copy" }).click();
    await expect(page.getByRole("button", { name: "Copied" })).toBeVisible();
    expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(await shown.evaluate((e) => e.textContent));
  } finally {
    await server.stop();
  }
});

test("the first page is accessible in both themes, wide and narrow", async ({ browser }) => {
  const server = await serve();
  try {
    for (const look of looks) {
      const context = await browser.newContext(look);
      const page = await context.newPage();
      await page.goto(server.url + "/");
      await expect(page.getByText("Waiting for spans", { exact: true })).toBeVisible();
      await accessible(page);
      await context.close();
    }
  } finally {
    await server.stop();
  }
});
