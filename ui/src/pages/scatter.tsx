// The answer as a picture: when each trace began, how long it took, and whether it failed. A box narrows the search to what it holds.
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState, type PointerEvent } from "react";
import type { Summary } from "../api";
import { clock, durationText, logTicks, several, timeTicks } from "../format";
import { hue } from "../hue";
import { ink, useCanvas, type Draw } from "../paint";
import styles from "./search.module.css";

const left = 56;
const right = 14;
const top = 14;
const bottom = 24;

interface Box {
  x0: number;
  y0: number;
  x1: number;
  y1: number;
}

/** Where traces lie: time across, the logarithm of duration upward; a little room around all of them. */
function scales(traces: Summary[], w: number, h: number) {
  const starts = traces.map((t) => Number(BigInt(t.start) / 1000n)); // µs: exact in a number
  const first = Math.min(...starts);
  const last = Math.max(...starts);
  const spare = Math.max(500_000, (last - first) * 0.015);
  const [from, to] = [first - spare, last + spare];
  const durations = traces.map((t) => Math.max(1000, t.durationNs));
  const shortest = Math.log10(Math.min(...durations));
  const longest = Math.log10(Math.max(...durations));
  const room = Math.max(0.15, (longest - shortest) * 0.08);
  const [low, high] = [shortest - room, longest + room];
  const inner = w - left - right;
  const tall = h - top - bottom;
  return {
    from,
    to,
    low,
    high,
    x: (us: number) => left + ((us - from) / (to - from)) * inner,
    y: (ns: number) => top + (1 - (Math.log10(Math.max(1000, ns)) - low) / (high - low)) * tall,
    time: (x: number) => from + Math.min(1, Math.max(0, (x - left) / inner)) * (to - from),
    duration: (y: number) => 10 ** (low + (1 - Math.min(1, Math.max(0, (y - top) / tall))) * (high - low)),
  };
}

type Zoom = { from: string; to: string; tmin?: string; tmax?: string };

export function Scatter({ traces, zoom }: { traces: Summary[]; zoom: (z: Zoom) => void }) {
  const navigate = useNavigate();
  const [near, setNear] = useState<{ t: Summary; x: number; y: number }>();
  const [box, setBox] = useState<Box>();
  const size = useRef<[number, number]>([0, 0]);
  const points = useMemo(() => traces.map((t) => ({ t, us: Number(BigInt(t.start) / 1000n) })), [traces]);
  const draw = useCallback<Draw>(
    (g, w, h) => {
      size.current = [w, h];
      const s = scales(traces, w, h);
      grid(g, s, w, h);
      // Errors last: they lie on top.
      for (const failed of [false, true])
        for (const { t, us } of points) if (t.errors > 0 === failed) point(g, t, s.x(us), s.y(t.durationNs));
      if (near) {
        g.strokeStyle = ink("--thread");
        g.lineWidth = 2;
        g.beginPath();
        g.arc(near.x, near.y, 8, 0, 7);
        g.stroke();
      }
      if (box) drawBox(g, box);
    },
    [traces, points, near, box],
  );
  const ref = useCanvas(draw);
  const place = (e: PointerEvent): [number, number] => {
    const r = e.currentTarget.getBoundingClientRect();
    return [e.clientX - r.left, e.clientY - r.top];
  };
  const nearest = (x: number, y: number) => {
    const s = scales(traces, ...size.current);
    let best: typeof near;
    let at = 14 * 14;
    for (const { t, us } of points) {
      const px = s.x(us);
      const py = s.y(t.durationNs);
      const d = (px - x) ** 2 + (py - y) ** 2;
      if (d < at) {
        at = d;
        best = { t, x: px, y: py };
      }
    }
    return best;
  };
  const move = (e: PointerEvent) => {
    const [x, y] = place(e);
    if (box) setBox({ ...box, x1: x, y1: y });
    else setNear(nearest(x, y));
  };
  const up = (e: PointerEvent) => {
    const [x, y] = place(e);
    const b = box;
    setBox(undefined);
    if (!b) return;
    if (Math.abs(b.x1 - b.x0) < 6 && Math.abs(b.y1 - b.y0) < 6) {
      const hit = nearest(x, y);
      if (hit) void navigate({ to: "/trace/$id", params: { id: hit.t.traceId } });
      return;
    }
    const s = scales(traces, ...size.current);
    const times = [s.time(b.x0), s.time(b.x1)].sort((p, q) => p - q);
    const durations = [s.duration(b.y0), s.duration(b.y1)].sort((p, q) => p - q);
    zoom({
      from: `${Math.floor(times[0])}000`,
      to: `${Math.ceil(times[1])}999`,
      tmin: Math.log10(durations[0]) > s.low + 1e-6 ? String(Math.floor(durations[0])) : undefined,
      tmax: Math.log10(durations[1]) < s.high - 1e-6 ? String(Math.ceil(durations[1])) : undefined,
    });
  };
  const held = useMemo(() => {
    if (!box) return undefined;
    const s = scales(traces, ...size.current);
    const [x0, x1] = [Math.min(box.x0, box.x1), Math.max(box.x0, box.x1)];
    const [y0, y1] = [Math.min(box.y0, box.y1), Math.max(box.y0, box.y1)];
    const inside = points.filter(({ t, us }) => {
      const [x, y] = [s.x(us), s.y(t.durationNs)];
      return x >= x0 && x <= x1 && y >= y0 && y <= y1;
    });
    const range = `${durationText(s.duration(y1))} to ${durationText(s.duration(y0))}`;
    return { x: x0, y: y1, text: `${several(inside.length, "trace")}, ${range}` };
  }, [box, points, traces]);
  return (
    <section className={`panel ${styles.plot}`} aria-label="Traces by time and duration; the list below has the same">
      <canvas
        ref={ref}
        aria-hidden="true"
        onPointerDown={(e) => {
          e.currentTarget.setPointerCapture(e.pointerId);
          const [x, y] = place(e);
          setBox({ x0: x, y0: y, x1: x, y1: y });
        }}
        onPointerMove={move}
        onPointerUp={up}
        onPointerCancel={() => setBox(undefined)}
        onPointerLeave={() => setNear(undefined)}
      />
      {near && !box && (
        <div
          className={`tip ${styles.tip}`}
          style={{
            [near.x > size.current[0] / 2 ? "right" : "left"]:
              near.x > size.current[0] / 2 ? size.current[0] - near.x + 12 : near.x + 12,
            top: near.y > 90 ? near.y - 76 : near.y + 12,
          }}
        >
          <b>{near.t.rootService}</b> {near.t.rootName}
          <br />
          {durationText(near.t.durationNs)} · {several(near.t.spans, "span")}
          {near.t.errors > 0 && <span className="err"> · {several(near.t.errors, "error")}</span>}
          <br />
          {clock(BigInt(near.t.start))}
          <br />
          <span className="dim">click to open, drag to narrow</span>
        </div>
      )}
      {held && (
        <div className={`tip ${styles.tip}`} style={{ left: Math.min(held.x, size.current[0] - 220), top: held.y + 6 }}>
          {held.text}
        </div>
      )}
    </section>
  );
}

function point(g: CanvasRenderingContext2D, t: Summary, x: number, y: number) {
  const r = Math.min(6, 2.5 + Math.log10(t.spans));
  if (t.errors > 0) {
    g.strokeStyle = ink("--err");
    g.lineWidth = 2;
    g.beginPath();
    g.moveTo(x - r + 1, y - r + 1);
    g.lineTo(x + r - 1, y + r - 1);
    g.moveTo(x + r - 1, y - r + 1);
    g.lineTo(x - r + 1, y + r - 1);
    g.stroke();
    return;
  }
  g.globalAlpha = 0.75;
  g.fillStyle = ink(hue(t.rootService));
  g.beginPath();
  g.arc(x, y, r, 0, 7);
  g.fill();
  g.globalAlpha = 1;
}

function drawBox(g: CanvasRenderingContext2D, box: Box) {
  const x = Math.min(box.x0, box.x1);
  const y = Math.min(box.y0, box.y1);
  const w = Math.abs(box.x1 - box.x0);
  const h = Math.abs(box.y1 - box.y0);
  g.fillStyle = ink("--thread");
  g.globalAlpha = 0.1;
  g.fillRect(x, y, w, h);
  g.globalAlpha = 1;
  g.strokeStyle = ink("--thread");
  g.lineWidth = 2;
  g.strokeRect(x, y, w, h);
}

function grid(g: CanvasRenderingContext2D, s: ReturnType<typeof scales>, w: number, h: number) {
  g.strokeStyle = ink("--line-1");
  g.fillStyle = ink("--text-3");
  g.lineWidth = 1;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (const ns of logTicks(10 ** s.low, 10 ** s.high)) {
    const y = Math.round(s.y(ns)) + 0.5;
    g.beginPath();
    g.moveTo(left, y);
    g.lineTo(w - right, y);
    g.stroke();
    g.fillText(durationText(ns), left - 8, y);
  }
  g.textBaseline = "alphabetic";
  g.textAlign = "center";
  for (const [us, text] of timeTicks(s.from, s.to, Math.max(2, Math.floor(w / 150)))) {
    const x = Math.round(s.x(us)) + 0.5;
    g.beginPath();
    g.moveTo(x, top);
    g.lineTo(x, h - bottom);
    g.stroke();
    if (x > left + 20 && x < w - 26) g.fillText(text, x, h - 8);
  }
}
