// What a page can do. One list serves the keys, the palette and the help, so that they cannot differ.
import { useEffect } from "react";

export interface Command {
  label: string;
  keys: string[]; // as KeyboardEvent.key says; the first one is shown
  show?: string; // shown in place of the first key
  hidden?: boolean; // can do nothing now
  minor?: boolean; // quicker by its key: in the palette only when asked for
  run: () => boolean | void; // false: nothing was done, the key is the browser's
}

let page: Command[] = [];

/** Sets the commands of the page that is shown. */
export function useCommands(list: Command[]) {
  useEffect(() => {
    page = list;
    return () => {
      if (page === list) page = [];
    };
  });
}

export const pageCommands = (): readonly Command[] => page;

/** Runs what a key stands for; reports whether it stood for something. */
export function press(key: string): boolean {
  const c = page.find((c) => c.keys.includes(key));
  return c !== undefined && c.run() !== false;
}

const faces: Record<string, string> = { ArrowDown: "↓", ArrowUp: "↑", ArrowLeft: "←", ArrowRight: "→", Escape: "Esc" };

/** How a command's keys are written. */
export const face = (c: Command): string[] => (c.show ?? faces[c.keys[0]] ?? c.keys[0] ?? "").split(" ").filter(Boolean);
