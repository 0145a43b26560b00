// Small parts: icons, durations, swatches, marks.
import { useEffect, useState, useSyncExternalStore, type CSSProperties, type ReactNode } from "react";
import { copy } from "./copy";
import { duration } from "./format";
import { hue, hues, onHues } from "./hue";

const paths = {
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9Zm3.3-1.2L13.5 13.5",
  theme: "M8 2.5v11a5.5 5.5 0 0 0 0-11ZM8 13.5a5.5 5.5 0 0 1 0-11",
  help: "M6 6a2 2 0 1 1 2.7 1.9c-.5.2-.7.6-.7 1.1v.5M8 12h.01",
  link: "M6.5 9.5l3-3M7 4.5 8.4 3.1a3.2 3.2 0 0 1 4.5 4.5L11.5 9M9 11.5l-1.4 1.4a3.2 3.2 0 0 1-4.5-4.5L4.5 7",
  copy: "M5.5 5.5h7v7h-7zM3.5 10.5v-7h7",
  json: "M5.5 3C4 3 4 4 4 5.200S4 8 2.500 8C4 8 4 9.600 4 10.800S4 13 5.500 13M10.500 3c1.500 0 1.500 1 1.500 2.200S12 8 13.500 8C12 8 12 9.600 12 10.800S12 13 10.500 13",
  filter: "M2.5 4h11M4.5 8h7M6.5 12h3",
  down: "M4.5 6.5 8 10l3.500-3.500",
  right: "M6.5 4.5 10 8l-3.500 3.500",
  check: "M3.5 8.5 6.5 11.5 12.5 5",
  list: "M3 4h10M3 8h10M3 12h6",
  clock: "M8 2.500a5.500 5.500 0 1 1 0 11 5.500 5.500 0 0 1 0-11ZM8 5v3l2 1.500",
  x: "M4.5 4.5l7 7M11.5 4.5l-7 7",
  plus: "M8 3.5v9M3.5 8h9",
  go: "M3 8h9.500M9 4.500 12.500 8 9 11.500",
};

export const Icon = ({ name }: { name: keyof typeof paths }) => (
  <svg className="i" viewBox="0 0 16 16" aria-hidden="true">
    <path d={paths[name]} />
  </svg>
);

export const ErrorMark = () => (
  <svg className="i i-s i-fill err" viewBox="0 0 12 12" role="img" aria-label="error">
    <path d="M3.100 1.200 6 4.100l2.900-2.900 1.900 1.900L7.900 6l2.900 2.900-1.900 1.900L6 7.900l-2.900 2.900-1.900-1.900L4.100 6 1.200 3.100z" />
  </svg>
);

export const GapMark = () => (
  <svg className="i i-s" viewBox="0 0 12 12" role="img" aria-label="gap" strokeWidth="2">
    <path d="M1 6h2M5 6h2M9 6h2" />
  </svg>
);

export const Ball = () => (
  <svg viewBox="0 0 32 32" aria-hidden="true">
    <mask id="ball" maskUnits="userSpaceOnUse" x="0" y="0" width="32" height="32">
      <path fill="#fff" d="M0 0h32v32H0z" />
      <g fill="none" stroke="#000" strokeWidth="2.3" strokeLinecap="round">
        <path d="M6.400 16.400C8.400 10.800 12.600 7 18.600 6.200" />
        <path d="M9.200 20.600C11.600 14 16 10.400 21.900 9.900" />
        <path d="M14.200 21.600C15.400 17.800 18.400 15 22.600 14.300" />
      </g>
    </mask>
    <circle cx="14" cy="14" r="11.5" fill="currentColor" mask="url(#ball)" />
    <path
      d="M14 24.100c4.600 0 5.400 4.400 9.600 4.400 2.600 0 4.400-1.200 6-3"
      fill="none"
      stroke="currentColor"
      strokeWidth="2.8"
      strokeLinecap="round"
    />
  </svg>
);

export function Duration({ ns }: { ns: number }) {
  const [value, unit] = duration(ns);
  return (
    <>
      {value}
      <span className="u">{unit}</span>
    </>
  );
}

/** A style that sets custom properties. */
export const vars = (v: Record<`--${string}`, string | number>) => v as CSSProperties;

/** The style of something in a service's hue, which may change when more services are known. */
export function useHue() {
  useSyncExternalStore(onHues, hues);
  return (service: string) => vars({ "--c": `var(${hue(service)})` });
}

export function Swatch({ service, ghost }: { service: string; ghost?: boolean }) {
  const style = useHue();
  return <i className={ghost ? "sw ghost" : "sw"} style={style(service)} />;
}

/** Copies, and says for a moment that it did, or that the browser did not let it. */
export function useCopy(): [string | undefined, (text: string) => void] {
  const [said, setSaid] = useState<string>();
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(undefined), 1500);
    return () => clearTimeout(timer);
  }, [said]);
  return [said, (text) => void copy(text).then((done) => setSaid(done ? "Copied" : "Not allowed"))];
}

export function CopyButton({ text, label }: { text: string; label: string }) {
  const [said, run] = useCopy();
  return (
    <button className="ib s" aria-label={said ?? label} title={said ?? label} onClick={() => run(text)}>
      <Icon name={said === "Copied" ? "check" : "copy"} />
    </button>
  );
}

/** Keys beside the name of what they do; silent where that name alone is to be read. */
export const Keys = ({ keys, silent }: { keys: string[]; silent?: boolean }) => (
  <span className="keyset" aria-hidden={silent}>
    {keys.map((k) => (
      <kbd key={k}>{k}</kbd>
    ))}
  </span>
);

export const State = ({ title, children }: { title: string; children?: ReactNode }) => (
  <main className="state">
    <h1>{title}</h1>
    {children}
  </main>
);

export const Progress = () => <div className="progress" role="progressbar" aria-label="Loading" />;
