// The bar above all pages, the palette, the help, and the keys that work everywhere.
import { useQuery, useQueryClient } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { getServices, getStatus, type Status } from "./api";
import { press } from "./commands";
import { count, several } from "./format";
import { know } from "./hue";
import { themeChanged } from "./paint";
import { Ball, Icon } from "./parts";

// Loaded when first opened.
const Palette = lazy(() => import("./overlays").then((m) => ({ default: m.Palette })));
const Help = lazy(() => import("./overlays").then((m) => ({ default: m.Help })));

export function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try {
    localStorage.setItem("clew.theme", root.dataset.theme);
  } catch {
    // no storage: it lasts as long as the page
  }
  themeChanged();
}

/** Whether a key press belongs to a control and not to the page. */
export const typing = (e: KeyboardEvent) =>
  e.ctrlKey ||
  e.metaKey ||
  e.altKey ||
  (e.target instanceof Element &&
    (e.target.closest("input, select, textarea, [role=dialog], [role=tablist], [role=listbox]") !== null ||
      (e.key.startsWith("Arrow") && e.target.closest("pre") !== null) ||
      // These do on Enter and Space what they say.
      ((e.key === "Enter" || e.key === " ") && e.target.closest("a, button, summary") !== null)));

export const useStatus = (every = 5000) =>
  useQuery({ queryKey: ["status"], queryFn: ({ signal }) => getStatus(signal), refetchInterval: every, retry: false });

function Pulse() {
  const { data, isError } = useStatus();
  const before = useRef<Status>(undefined);
  const rate = useRef<number>(undefined);
  if (data && data !== before.current) {
    const seconds = before.current ? Number(BigInt(data.now) - BigInt(before.current.now)) / 1e9 : 0;
    // A process that was started anew counts from zero.
    if (seconds > 0 && data.stored >= before.current!.stored) rate.current = (data.stored - before.current!.stored) / seconds;
    before.current = data;
  }
  if (isError)
    return (
      <span className="pulse err" role="status">
        <i className="dot down" /> Clew does not answer
      </span>
    );
  if (!data) return null;
  const text =
    data.store.spans === 0
      ? "waiting for spans"
      : rate.current === undefined
        ? several(data.store.spans, "span")
        : `${several(Math.round(rate.current), "span")}/s`;
  return (
    <span className="pulse" title={`${several(data.store.spans, "span")} stored; since the start: received = stored + refused`}>
      <i className={rate.current ? "dot" : "dot idle"} />
      {text}
      <span className={data.refused ? "err only-w" : "dim only-w"}>· {count(data.refused)} refused</span>
    </span>
  );
}

// Questions that got no answer while the server was away are asked again when it is back.
function useRecovery() {
  const client = useQueryClient();
  const { isError, isSuccess } = useStatus();
  const away = useRef(false);
  useEffect(() => {
    if (isError) away.current = true;
    else if (isSuccess && away.current) {
      away.current = false;
      void client.refetchQueries({ predicate: (q) => q.state.status === "error" });
    }
  }, [client, isError, isSuccess]);
}

export function Shell() {
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const path = useLocation({ select: (l) => l.pathname });
  const navigate = useNavigate();
  const pending = useRef("");
  useRecovery();
  const { data: services } = useQuery({ queryKey: ["services"], queryFn: ({ signal }) => getServices(signal) });
  useEffect(() => {
    if (services) know(services);
  }, [services]);
  useEffect(() => {
    const down = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key === "k") {
        e.preventDefault();
        setPalette((v) => !v);
        return;
      }
      if (typing(e)) return;
      const going = pending.current === "g" && e.key === "s";
      pending.current = e.key;
      if (going) void navigate({ to: "/search" });
      else if (e.key === "?") setHelp(true);
      else if (e.key === "t") toggleTheme();
      else if (!press(e.key)) return;
      e.preventDefault();
    };
    addEventListener("keydown", down);
    return () => removeEventListener("keydown", down);
  }, [navigate]);
  return (
    <>
      <header className="bar">
        <Link to="/" className="brand" aria-label="Clew, home">
          <Ball />
          <span>Clew</span>
        </Link>
        <nav className="nav" aria-label="Rooms">
          <Link to="/search" aria-current={path.endsWith("/search") || path.includes("/trace/") ? "page" : undefined}>
            Search
          </Link>
        </nav>
        <span className="grow" />
        <Pulse />
        <button className="jump only-w" onClick={() => setPalette(true)}>
          <Icon name="search" />
          <span>Jump to or run…</span>
          <kbd>Ctrl K</kbd>
        </button>
        <button className="ib only-n" aria-label="Jump to or run" onClick={() => setPalette(true)}>
          <Icon name="search" />
        </button>
        <button className="ib only-w" aria-label="Keys" onClick={() => setHelp(true)}>
          <Icon name="help" />
        </button>
        <button className="ib" aria-label="Light or dark" onClick={toggleTheme}>
          <Icon name="theme" />
        </button>
      </header>
      <Outlet />
      <Suspense>
        {palette && <Palette close={() => setPalette(false)} help={() => setHelp(true)} />}
        {help && <Help close={() => setHelp(false)} />}
      </Suspense>
    </>
  );
}
