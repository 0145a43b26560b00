// The way of the page: routes, the query cache, and the element it all goes into.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRootRoute, createRoute, createRouter, lazyRouteComponent, redirect, RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { ApiError, getStatus } from "./api";
import "./base.css";
import { State } from "./parts";
import { Shell } from "./shell";
import "./tokens.css";
import { formatQuery, parseQuery, readSearch, readTrace, type Raw } from "./url";

const root = createRootRoute({
  component: Shell,
  notFoundComponent: () => (
    <State title="There is no such page">
      <p>Search is under “Search” above; a trace is at /trace/ and its ID.</p>
    </State>
  ),
});

const first = createRoute({
  getParentRoute: () => root,
  path: "/",
  component: lazyRouteComponent(() => import("./pages/first"), "FirstPage"),
  // A store that has spans has nothing to introduce.
  beforeLoad: async () => {
    const status = await getStatus().catch(() => undefined);
    if (status && status.store.spans > 0) throw redirect({ to: "/search", replace: true });
  },
});
const search = createRoute({
  getParentRoute: () => root,
  path: "/search",
  validateSearch: (raw) => readSearch(raw as Raw),
  component: lazyRouteComponent(() => import("./pages/search"), "SearchPage"),
});
const trace = createRoute({
  getParentRoute: () => root,
  path: "/trace/$id",
  validateSearch: (raw) => readTrace(raw as Raw),
  component: lazyRouteComponent(() => import("./pages/trace"), "TracePage"),
});

// Zipkin's addresses land on the same search or trace.
const zipkin = createRoute({
  getParentRoute: () => root,
  path: "/zipkin",
  validateSearch: (raw) => readSearch(raw as Raw),
  beforeLoad: ({ search }) => {
    throw redirect({ to: "/search", search, replace: true });
  },
});
const zipkinTrace = createRoute({
  getParentRoute: () => root,
  path: "/zipkin/traces/$id",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/trace/$id", params, replace: true });
  },
});

const router = createRouter({
  routeTree: root.addChildren([first, search, trace, zipkin, zipkinTrace]),
  basepath: new URL(document.baseURI).pathname,
  parseSearch: parseQuery,
  stringifySearch: formatQuery,
  defaultErrorComponent: ({ error }) => (
    <State title="The page stumbled">
      <p className="mono">{String(error)}</p>
    </State>
  ),
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}

const queries = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 5_000,
      refetchOnWindowFocus: false,
      // What the server refused will be refused again.
      retry: (failures, error) => failures < 2 && !(error instanceof ApiError && error.status >= 400 && error.status < 500),
    },
  },
});

createRoot(document.getElementById("app")!).render(
  <StrictMode>
    <QueryClientProvider client={queries}>
      <RouterProvider router={router} />
    </QueryClientProvider>
  </StrictMode>,
);
