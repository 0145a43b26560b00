// Clew's own HTTP API, as docs/http-api.md describes it.
import { parseColumns, type Columns } from "./columns";

export interface Status {
  version: string;
  startedAt: string;
  now: string;
  listen: { protocol: string; address: string }[];
  received: number;
  refused: number;
  stored: number;
  store: { spans: number; blocks: number; bytes: number; oldest: string; newest: string };
  retention: { ageNs: number; bytes: number };
}

export interface ServiceShare {
  name: string;
  spans: number;
  errors: number;
  selfNs: number;
}

export interface Summary {
  traceId: string;
  rootService: string;
  rootName: string;
  start: string;
  durationNs: number;
  spans: number;
  errors: number;
  gaps: number;
  services: ServiceShare[];
}

export interface Found {
  traces: Summary[];
  cursor: string;
  scanned: { complete: boolean; blocks: number; blocksSkipped: number; bytes: number; reason: string };
}

export interface Attr {
  key: string;
  type: string;
  value: string;
}

export interface RowDetail {
  row: number;
  spanId: string;
  start: string;
  durationNs: number;
  ghost?: boolean;
  parentSpanId: string;
  name: string;
  kind: string;
  service: string;
  status: { code: string; message: string };
  traceState: string;
  flags: number;
  attributes: Attr[];
  droppedAttributes: number;
  events: { time: string; name: string; attributes: Attr[]; droppedAttributes: number }[];
  droppedEvents: number;
  links: { traceId: string; spanId: string; traceState: string; attributes: Attr[]; droppedAttributes: number }[];
  droppedLinks: number;
  resource: { attributes: Attr[]; droppedAttributes: number; schemaUrl: string };
  scope: { name: string; version: string; attributes: Attr[]; droppedAttributes: number; schemaUrl: string };
}

/** An error that the server explained. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly kind: string,
    message: string,
  ) {
    super(message);
  }
}

export const unreachable = () => new ApiError(0, "unreachable", "Clew does not answer. Is the process running?");

async function call(path: string, signal?: AbortSignal): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(new URL(path, document.baseURI), { signal });
  } catch (e) {
    if (e instanceof DOMException && e.name === "AbortError") throw e;
    throw unreachable();
  }
  if (response.ok) return response;
  const body = await response.json().catch(() => null);
  throw new ApiError(
    response.status,
    body?.error?.kind ?? "internal",
    body?.error?.message ?? `${response.status} ${response.statusText}`,
  );
}

async function json<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await call(path, signal)).json() as Promise<T>;
}

export const getStatus = (signal?: AbortSignal) => json<Status>("api/v1/status", signal);

export const getServices = async (signal?: AbortSignal) =>
  (await json<{ services: string[] | null }>("api/v1/services", signal)).services ?? [];

export const getOperations = async (service: string, signal?: AbortSignal) =>
  (
    await json<{ operations: { name: string; kind: string }[] }>(
      `api/v1/operations?service=${encodeURIComponent(service)}`,
      signal,
    )
  ).operations;

export interface KeyStat {
  key: string;
  scope: string;
  spans: number;
  many: boolean;
  values?: { value: string; type: string; spans: number; cut: boolean }[];
}

async function attributes(path: string, service: string | undefined, times: URLSearchParams, signal?: AbortSignal) {
  const q = new URLSearchParams({ limit: "1000" });
  if (service) q.set("service", service);
  for (const k of ["from", "to"]) if (times.get(k)) q.set(k, times.get(k)!);
  return (await json<{ attributes: KeyStat[] }>(`api/v1/attributes${path}?${q}`, signal)).attributes;
}

/** Keys that spans or resources have, each once, the most frequent first. Those that cannot be typed are left out. */
export async function getKeys(service: string | undefined, times: URLSearchParams, signal?: AbortSignal) {
  const seen = new Map<string, { key: string; spans: number }>();
  for (const { key, spans } of await attributes("", service, times, signal)) {
    const old = seen.get(key);
    if (old) old.spans = Math.max(old.spans, spans);
    else if (!/[\s="]/.test(key)) seen.set(key, { key, spans });
  }
  return [...seen.values()].sort((a, b) => b.spans - a.spans);
}

/** Values of a key that can be typed into a line, each once, the most frequent first. */
export async function getValues(service: string | undefined, key: string, times: URLSearchParams, signal?: AbortSignal) {
  const seen = new Map<string, number>();
  for (const k of await attributes(`/${encodeURIComponent(key)}/values`, service, times, signal))
    for (const v of k.values ?? []) if (!v.cut && !/[\r\n]/.test(v.value)) seen.set(v.value, (seen.get(v.value) ?? 0) + v.spans);
  const values = [...seen].map(([value, spans]) => ({ value, spans })).sort((a, b) => b.spans - a.spans);
  return { key, values };
}

export const search = (query: URLSearchParams, signal?: AbortSignal) => json<Found>(`api/v1/search?${query}`, signal);

export async function getTrace(id: string, signal?: AbortSignal): Promise<Columns> {
  return parseColumns(await (await call(`api/v1/traces/${id}/columns`, signal)).arrayBuffer());
}

export const getRow = async (id: string, version: string, row: number, signal?: AbortSignal) =>
  (await json<{ rows: RowDetail[] }>(`api/v1/traces/${id}/rows?from=${row}&to=${row + 1}&version=${version}`, signal)).rows[0];

/** The address of what describes these calls to other programs. */
export const openAPI = () => new URL("api/v1/openapi.json", document.baseURI).href;

/** The address of a trace as OTLP/JSON. */
export const traceJSON = (id: string) => new URL(`api/v1/traces/${id}`, document.baseURI).href;
