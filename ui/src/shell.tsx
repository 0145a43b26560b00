// The bar above all pages, the palette, the help, and the keys that work everywhere.
import { useQuery } from "@tanstack/react-query";
import { Link, Outlet, useLocation, useNavigate } from "@tanstack/react-router";
import { lazy, Suspense, useEffect, useRef, useState } from "react";
import { getStatus, type Status } from "./api";
import { count } from "./format";
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
  (e.target instanceof Element && e.target.closest("input, select, textarea, [role=dialog]") !== null);

export const useStatus = (every = 5000) =>
  useQuery({ queryKey: ["status"], queryFn: ({ signal }) => getStatus(signal), refetchInterval: every, retry: false });

function Pulse() {
  const { data, isError } = useStatus();
  const before = useRef<Status>(undefined);
  const rate = useRef<number>(undefined);
  if (data && data !== before.current) {
    const seconds = before.current ? Number(BigInt(data.now) - BigInt(before.current.now)) / 1e9 : 0;
    if (seconds > 0) rate.current = (data.stored - before.current!.stored) / seconds;
    before.current = data;
  }
  if (isError)
    return (
      <span className="pulse err" role="status">
        <i className="dot down" /> Clew does not answer
      </span>
    );
  if (!data) return null;
  return (
    <span className="pulse" title="since the start: received = stored + refused">
      <i className={rate.current ? "dot" : "dot idle"} />
      {data.store.spans === 0 ? "waiting for spans" : `${count(Math.round(rate.current ?? 0))} spans/s`}
      <span className={data.refused ? "err only-w" : "dim only-w"}>· {count(data.refused)} refused</span>
    </span>
  );
}

export function Shell() {
  const [palette, setPalette] = useState(false);
  const [help, setHelp] = useState(false);
  const path = useLocation({ select: (l) => l.pathname });
  const navigate = useNavigate();
  const pending = useRef("");
  useEffect(() => {
    const press = (e: KeyboardEvent) => {
      if ((e.ctrlKey || e.metaKey) && e.key === "k") {
        e.preventDefault();
        setPalette((v) => !v);
        return;
      }
      if (typing(e)) return;
      if (pending.current === "g" && e.key === "s") void navigate({ to: "/search" });
      else if (e.key === "?") setHelp(true);
      else if (e.key === "t") toggleTheme();
      pending.current = e.key;
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
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
