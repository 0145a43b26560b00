// The way of the page: routes, the query cache, and the element it all goes into.
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import {
  createRootRoute,
  createRoute,
  createRouter,
  lazyRouteComponent,
  redirect,
  RouterProvider,
  type ErrorComponentProps,
} from "@tanstack/react-router";
import { StrictMode, useEffect } from "react";
import { createRoot } from "react-dom/client";
import { ApiError, getStatus, unreachable } from "./api";
import "./tokens.css";
// After the tokens, some of which it changes for narrow windows.
import "./base.css";
import { State } from "./parts";
import { Shell } from "./shell";
import { firstOf, formatQuery, parseQuery, readSearch, readTrace, type Raw } from "./url";

// A part that cannot be loaded is one of a server that is away, or was replaced by another version. By the browser's own error the
// router would reload at once, into a browser's page without Clew.
const part =
  <T,>(load: () => Promise<T>) =>
  () =>
    load().catch(() => {
      throw unreachable();
    });
const firstPage = part(() => import("./pages/first"));
const searchPage = part(() => import("./pages/search"));
const tracePage = part(() => import("./pages/trace"));

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
  component: lazyRouteComponent(firstPage, "FirstPage"),
  validateSearch: (raw) => readSearch(raw as Raw),
  beforeLoad: async ({ search }) => {
    // Zipkin's page is the search.
    if (Object.values(search).some((v) => v !== undefined)) throw redirect({ to: "/search", search, replace: true });
    // A store that has spans has nothing to introduce.
    const status = await getStatus().catch(() => undefined);
    if (status && status.store.spans > 0) throw redirect({ to: "/search", replace: true });
  },
});
const search = createRoute({
  getParentRoute: () => root,
  path: "/search",
  validateSearch: (raw) => readSearch(raw as Raw),
  component: lazyRouteComponent(searchPage, "SearchPage"),
});
const trace = createRoute({
  getParentRoute: () => root,
  path: "/trace/$id",
  validateSearch: (raw) => readTrace(raw as Raw),
  beforeLoad: ({ params, search }) => {
    // Jaeger's comparison of two traces, A...B, has no page here: the first is shown.
    const id = firstOf(params.id);
    if (id !== params.id) throw redirect({ to: "/trace/$id", params: { id }, search, replace: true });
  },
  component: lazyRouteComponent(tracePage, "TracePage"),
});

// Zipkin's addresses land on the same search or trace: with /zipkin before them, and without, as they are where the page itself is below
// /zipkin (on Zipkin's port), and were before Zipkin 2.
// So do Jaeger's, of pages that are not here, on a search for their service.
const elsewhere = [
  "/zipkin",
  "/zipkin/dependency",
  "/dependency",
  "/dependencies",
  "/deep-dependencies",
  "/monitor",
  "/quality-metrics",
];
const zipkin = elsewhere.map((path) =>
  createRoute({
    getParentRoute: () => root,
    path,
    validateSearch: (raw) => readSearch(raw as Raw),
    beforeLoad: ({ search }) => {
      throw redirect({ to: "/search", search, replace: true });
    },
  }),
);
const zipkinTraces = (["/zipkin/traces/$id", "/traces/$id"] as const).map((path) =>
  createRoute({
    getParentRoute: () => root,
    path,
    beforeLoad: ({ params }) => {
      throw redirect({ to: "/trace/$id", params, replace: true });
    },
  }),
);

function Stumbled({ error }: ErrorComponentProps) {
  const missing = error instanceof ApiError;
  useEffect(() => {
    if (!missing) return;
    const timer = setInterval(
      () =>
        void getStatus().then(
          () => location.reload(),
          () => {},
        ),
      1500,
    );
    return () => clearInterval(timer);
  }, [missing]);
  return missing ? (
    <State title="No answer">
      <p role="alert">Clew does not answer. This page goes on as soon as it does.</p>
    </State>
  ) : (
    <State title="The page stumbled">
      <p className="mono" role="alert">
        {String(error)}
      </p>
    </State>
  );
}

const router = createRouter({
  routeTree: root.addChildren([first, search, trace, ...zipkin, ...zipkinTraces]),
  basepath: new URL(document.baseURI).pathname,
  parseSearch: parseQuery,
  stringifySearch: formatQuery,
  defaultErrorComponent: Stumbled,
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
      // Clew may well be on this machine: that the browser is offline says nothing.
      networkMode: "always",
      // What the server refused will be refused again, and when it is away the shell asks again once it is back.
      retry: (failures, error) => failures < 2 && error instanceof ApiError && error.status >= 500,
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

// The other pages are fetched while there is nothing to do: going there then needs the API alone.
addEventListener("load", () => setTimeout(() => void Promise.allSettled([searchPage(), tracePage()]), 500));
