// The answer as a picture: when each trace began, how long it took, and whether it failed. A box narrows the search to what it holds.
import { useNavigate } from "@tanstack/react-router";
import { useCallback, useMemo, useRef, useState, type PointerEvent } from "react";
import type { Summary } from "../api";
import { clock, durationText } from "../format";
import { hue, ink, useCanvas, type Draw } from "../paint";
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

/** Where traces lie: time across, the logarithm of duration upward. */
function scales(traces: Summary[], w: number, h: number) {
  const starts = traces.map((t) => Number(BigInt(t.start) / 1000n)); // µs: exact in a number
  const from = Math.min(...starts);
  const to = Math.max(...starts, from + 1_000_000);
  const durations = traces.map((t) => Math.max(1000, t.durationNs));
  const low = Math.floor(Math.log10(Math.min(...durations)));
  const high = Math.max(low + 1, Math.ceil(Math.log10(Math.max(...durations))));
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
    duration: (y: number) => 10 ** (low + (1 - (y - top) / tall) * (high - low)),
  };
}

export function Scatter({
  traces,
  zoom,
}: {
  traces: Summary[];
  zoom: (z: { from: string; to: string; min?: string; max?: string }) => void;
}) {
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
      for (const { t, us } of points) {
        const x = s.x(us);
        const y = s.y(t.durationNs);
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
        } else {
          g.globalAlpha = 0.75;
          g.fillStyle = ink(hue(t.rootService));
          g.beginPath();
          g.arc(x, y, r, 0, 7);
          g.fill();
          g.globalAlpha = 1;
        }
      }
      if (near) {
        g.strokeStyle = ink("--thread");
        g.lineWidth = 2;
        g.beginPath();
        g.arc(near.x, near.y, 8, 0, 7);
        g.stroke();
      }
      if (box) {
        const x = Math.min(box.x0, box.x1);
        const y = Math.min(box.y0, box.y1);
        const bw = Math.abs(box.x1 - box.x0);
        const bh = Math.abs(box.y1 - box.y0);
        g.fillStyle = ink("--thread");
        g.globalAlpha = 0.1;
        g.fillRect(x, y, bw, bh);
        g.globalAlpha = 1;
        g.strokeStyle = ink("--thread");
        g.lineWidth = 2;
        g.strokeRect(x, y, bw, bh);
      }
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
    const us = (v: number) => `${Math.round(v / 1000)}us`;
    zoom({
      from: `${Math.floor(times[0])}000`,
      to: `${Math.ceil(times[1])}999`,
      min: durations[0] > 10 ** s.low ? us(durations[0]) : undefined,
      max: durations[1] < 10 ** s.high ? us(durations[1]) : undefined,
    });
  };
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
        onPointerLeave={() => setNear(undefined)}
      />
      {near && !box && (
        <div
          className="tip"
          style={{ left: Math.min(near.x + 12, size.current[0] - 240), top: near.y > 90 ? near.y - 64 : near.y + 12 }}
        >
          <b>{near.t.rootService}</b> {near.t.rootName}
          <br />
          {durationText(near.t.durationNs)} · {near.t.spans} spans
          {near.t.errors > 0 && <span className="err"> · {near.t.errors} errors</span>}
          <br />
          <span className="dim">{clock(BigInt(near.t.start))} · click to open, drag to narrow</span>
        </div>
      )}
    </section>
  );
}

function grid(g: CanvasRenderingContext2D, s: ReturnType<typeof scales>, w: number, h: number) {
  g.strokeStyle = ink("--line-1");
  g.fillStyle = ink("--text-3");
  g.lineWidth = 1;
  g.textAlign = "right";
  g.textBaseline = "middle";
  for (let p = s.low; p <= s.high; p++) {
    const y = Math.round(s.y(10 ** p)) + 0.5;
    g.beginPath();
    g.moveTo(left, y);
    g.lineTo(w - right, y);
    g.stroke();
    g.fillText(durationText(10 ** p), left - 8, y);
  }
  g.textBaseline = "alphabetic";
  const n = Math.max(2, Math.min(6, Math.floor(w / 160)));
  for (let i = 0; i <= n; i++) {
    const us = s.from + ((s.to - s.from) * i) / n;
    g.textAlign = i === 0 ? "left" : i === n ? "right" : "center";
    g.fillText(clock(BigInt(Math.round(us)) * 1000n, s.to - s.from < 10_000_000), s.x(us), h - 8);
  }
}
