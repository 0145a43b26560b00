// Which of the twelve service hues a service has: by the hash of its name, moved on where another service has that hue already.

const HUES = 12;
let given = new Map<string, number>();
const listeners = new Set<() => void>();

function hash(name: string): number {
  let h = 2166136261;
  for (let i = 0; i < name.length; i++) h = Math.imul(h ^ name.charCodeAt(i), 16777619);
  return (h >>> 8) % HUES;
}

/** Hues for a set of services: the same for everybody who sees the same services, and all different up to twelve. */
export function assign(names: readonly string[]): Map<string, number> {
  const used = new Array<number>(HUES).fill(0);
  const out = new Map<string, number>();
  for (const name of [...new Set(names)].sort()) {
    if (!name) continue;
    const least = Math.min(...used);
    let h = hash(name);
    while (used[h] > least) h = (h + 1) % HUES;
    used[h]++;
    out.set(name, h);
  }
  return out;
}

/** Tells which services there are. */
export function know(names: readonly string[]) {
  const next = assign(names);
  if (next.size === given.size && [...next].every(([name, h]) => given.get(name) === h)) return;
  given = next;
  listeners.forEach((f) => f());
}

/** The token of a service's hue. */
export const hue = (service: string): string => (service ? `--svc-${(given.get(service) ?? hash(service)) + 1}` : "--svc-none");

/** Calls back when hues have changed; returns how to stop that. */
export function onHues(f: () => void): () => void {
  listeners.add(f);
  return () => listeners.delete(f);
}

/** The hues in force, as an identity that changes with them. */
export const hues = () => given;
