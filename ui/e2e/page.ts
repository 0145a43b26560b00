// What all browser tests share: a page that may not reach out, and the check of accessibility.
import AxeBuilder from "@axe-core/playwright";
import { expect, test as base, type Page } from "@playwright/test";

export { expect };

/** A page of which no request leaves the origin it came from, and which neither throws nor breaks its own policy. */
export const test = base.extend<{ outside: string[] }>({
  outside: [
    async ({ page }, use) => {
      const outside: string[] = [];
      const origins = new Set<string>();
      page.on("framenavigated", (f) => f === page.mainFrame() && origins.add(new URL(f.url()).origin));
      page.on("request", (r) => {
        const { origin, protocol } = new URL(r.url());
        if (r.isNavigationRequest()) origins.add(origin);
        else if (!origins.has(origin) && protocol !== "data:" && protocol !== "blob:") outside.push(r.url());
      });
      page.on("pageerror", (e) => outside.push(String(e)));
      page.on("console", (m) => /Content.Security.Policy/i.test(m.text()) && outside.push(m.text()));
      await use(outside);
      expect(outside).toEqual([]);
    },
    { auto: true },
  ],
});

/** No findings of axe, on the whole page or in a part of it. */
export async function accessible(page: Page, part?: string) {
  const axe = new AxeBuilder({ page });
  const found = await (part ? axe.include(part) : axe).analyze();
  expect(found.violations.map((v) => `${v.id}: ${v.nodes.map((n) => n.target).join(", ")}`)).toEqual([]);
}

/** Each theme, wide and narrow. */
export const looks = (["light", "dark"] as const).flatMap((colorScheme) =>
  [
    [1440, 900],
    [390, 844],
  ].map(([width, height]) => ({ colorScheme, viewport: { width, height } })),
);
