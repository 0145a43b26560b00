// Zipkin's links, on Zipkin's port and on the query port, land on Clew's search or trace.
import { expect, test } from "./page";
import { checkout, send, serve, traceId, type Server } from "./server";

const linkerd = [
  {
    traceId: traceId(7),
    id: "0000000000000001",
    name: "http/1.1 get",
    kind: "SERVER",
    timestamp: (Date.now() - 60_000) * 1000,
    duration: 1500,
    localEndpoint: { serviceName: "0.0.0.0/4140" },
  },
];

let server: Server;
let prefixed: Server;
test.beforeAll(async () => {
  [server, prefixed] = await Promise.all([serve(), serve("--query.prefix", "/tracing")]);
  for (const s of [server, prefixed]) {
    await send(s, traceId(1), checkout);
    const answer = await fetch(s.zipkin + "/api/v2/spans", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(linkerd),
    });
    expect(answer.status).toBe(202);
  }
});
test.afterAll(async () => {
  await Promise.all([server?.stop(), prefixed?.stop()]);
});

const ports = {
  "Zipkin's port": () => ({ url: server.zipkin, page: "/zipkin" }),
  "the query port": () => ({ url: server.url, page: "" }),
  "the query port under a path": () => ({ url: prefixed.url, page: "/tracing" }),
};
for (const [name, at] of Object.entries(ports)) {
  test(`links to a search on ${name}`, async ({ page }) => {
    const end = Date.now();
    const one = page.getByRole("status").filter({ hasText: "1 trace" });
    // As the article has it that people follow.
    await page.goto(`${at().url}/?serviceName=0.0.0.0%2F4140`);
    await expect(page).toHaveURL((u) => u.pathname === at().page + "/search" && u.searchParams.get("service") === "0.0.0.0/4140");
    await expect(one).toBeVisible();
    await page.goto(
      `${at().url}/zipkin/?serviceName=payment&spanName=Charge&annotationQuery=error+and+app.retries%3D3&minDuration=100000&maxDuration=300000&lookback=900000&endTs=${end}&limit=5`,
    );
    await expect(page.getByRole("button", { name: "Remove app.retries=3" })).toBeVisible();
    await expect(page).toHaveURL(
      (u) => u.pathname === at().page + "/search" && u.searchParams.get("from") === `${end - 900_000}000000`,
    );
    await expect(one).toBeVisible();
    await expect(page.getByLabel("Span at least")).toHaveValue("100000us");
    // What Lens's page has in its address.
    await page.goto(`${at().url}/zipkin/?serviceName=payment&lookback=15m&endTs=${end}&limit=10`);
    await expect(one).toBeVisible();
    await page.goto(`${at().url}/zipkin/?serviceName=payment&lookback=15m&endTs=${end - 3600_000}&limit=10`);
    await expect(page.getByRole("heading", { name: "No trace matches" })).toBeVisible();
    await page.goto(`${at().url}/zipkin/dependency?startTime=${end - 900_000}&endTime=${end}`);
    await expect(page).toHaveURL(
      (u) => u.searchParams.get("from") === `${end - 900_000}000000` && u.searchParams.get("to") === `${end}000000`,
    );
    await expect(page.getByRole("status").filter({ hasText: "2 traces" })).toBeVisible();
  });

  test(`links to a trace on ${name}`, async ({ page }) => {
    for (const path of ["/zipkin/traces/", "/traces/"]) {
      await page.goto(at().url + path + traceId(7));
      await expect(page.getByRole("treegrid").getByText("http/1.1 get")).toBeVisible();
      await expect(page).toHaveURL((u) => u.pathname === `${at().page}/trace/${traceId(7)}`);
    }
    await page.reload();
    await expect(page.getByRole("treegrid").getByText("http/1.1 get")).toBeVisible();
  });
}

test("on Zipkin's port the page needs nothing beside /zipkin/, which may be all that a proxy passes on", async ({ page }) => {
  const beside: string[] = [];
  page.on("request", (r) => {
    const { pathname } = new URL(r.url());
    if (!pathname.startsWith("/zipkin/")) beside.push(pathname);
  });
  await page.goto(`${server.zipkin}/zipkin/`);
  await expect(page).toHaveURL((u) => u.pathname === "/zipkin/search");
  await page
    .getByRole("link", { name: /POST \/checkout/ })
    .first()
    .click();
  await expect(page.getByRole("treegrid").getByText("POST /checkout")).toBeVisible();
  await page.getByRole("treegrid").getByText("POST /checkout").click();
  await expect(page.getByText("service.version").first()).toBeVisible();
  expect(beside).toEqual([]);
});

test("redirects keep what was asked, and go nowhere else", async () => {
  for (const [path, to] of [
    ["/", "/zipkin/"],
    ["/zipkin", "/zipkin/"],
    ["/?serviceName=a%2Fb&c=d", "/zipkin/?serviceName=a%2Fb&c=d"],
    ["/zipkin?a", "/zipkin/?a"],
    ["/traces/%2F%2Fevil.example%0d%0aX:y?a=b", "/zipkin/traces/%2F%2Fevil.example%0d%0aX:y?a=b"],
    ["/dependency?endTs=1", "/zipkin/dependency?endTs=1"],
  ]) {
    const r = await fetch(server.zipkin + path, { redirect: "manual" });
    expect([r.status, r.headers.get("location")]).toEqual([302, to]);
  }
});
