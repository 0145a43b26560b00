// How a long value is shown.

/** Values that are JSON, one member a line; everything else as it is. */
export function pretty(type: string, value: string): string {
  const json = type === "map" || type === "array" || (type === "string" && /^\s*[{[]/.test(value));
  if (!json || value.length > 100_000) return value;
  try {
    const parsed = JSON.parse(value);
    // Numbers that JSON.parse would round stay as they were sent.
    if (/\d{16}/.test(value)) return value;
    if (value.length >= 60) return JSON.stringify(parsed, null, 2);
    return type === "string" ? value : JSON.stringify(parsed);
  } catch {
    return value;
  }
}

const LINES = 16;
const CHARACTERS = 400;
const MOST = 100_000; // more than that is not put into the page even on demand

/** A text's beginning, unless all is asked for, and whether that left something out. */
export function clamped(text: string, all: boolean): { text: string; cut: boolean } {
  if (all) return { text: text.slice(0, MOST), cut: text.length > MOST };
  let end = Math.min(text.length, CHARACTERS);
  for (let i = 0, n = 0; i < end; i++) if (text[i] === "\n" && ++n === LINES) end = i;
  // Leaving out a word or two would cost more room than it saves.
  return text.length - end < 40 && end >= CHARACTERS
    ? { text, cut: false }
    : { text: text.slice(0, end), cut: end < text.length };
}
