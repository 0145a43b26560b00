// Canvas helpers: the tokens' colours as a canvas understands them, and canvases at device pixels.
import { useEffect, useRef } from "react";
import { onHues } from "./hue";

const cache = new Map<string, string>();

/** The colour of a token (--err) in the theme in force. */
export function ink(token: string): string {
  let c = cache.get(token);
  if (!c) {
    const probe = document.createElement("i");
    probe.style.color = `var(${token})`;
    document.body.append(probe);
    c = getComputedStyle(probe).color;
    probe.remove();
    cache.set(token, c);
  }
  return c;
}

const listeners = new Set<() => void>();

/** Tells all canvases that colours have changed. */
export function themeChanged() {
  cache.clear();
  listeners.forEach((f) => f());
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", themeChanged);

onHues(() => listeners.forEach((f) => f()));

export type Draw = (g: CanvasRenderingContext2D, width: number, height: number) => void;

/** A canvas that is drawn anew when draw, its size or the theme changes. */
export function useCanvas(draw: Draw) {
  const ref = useRef<HTMLCanvasElement>(null);
  const latest = useRef(draw);
  latest.current = draw;
  const paint = useRef(() => {});
  useEffect(() => {
    const el = ref.current!;
    let frame = 0;
    const now = () => {
      frame = 0;
      const { width, height } = el.getBoundingClientRect();
      const ratio = devicePixelRatio || 1;
      if (!width || !height) return;
      const w = Math.round(width * ratio);
      const h = Math.round(height * ratio);
      if (el.width !== w || el.height !== h) {
        el.width = w;
        el.height = h;
      }
      const g = el.getContext("2d")!;
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, width, height);
      g.font = `11px ${getComputedStyle(document.body).fontFamily}`;
      latest.current(g, width, height);
    };
    paint.current = () => {
      frame ||= requestAnimationFrame(now);
    };
    const observer = new ResizeObserver(paint.current);
    observer.observe(el);
    const changed = paint.current;
    listeners.add(changed);
    return () => {
      observer.disconnect();
      listeners.delete(changed);
      cancelAnimationFrame(frame);
    };
  }, []);
  useEffect(() => paint.current(), [draw]);
  return ref;
}
