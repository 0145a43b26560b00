// What floats above a page: the palette (go somewhere, run something) and the list of keys.
import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useState } from "react";
import { getServices } from "./api";
import { Swatch } from "./parts";
import { toggleTheme } from "./shell";
import { traceIdIn } from "./url";

const helpKeys: [string, string][] = [
  ["/", "go to the search or filter"],
  ["j  k", "next, previous row"],
  ["← →", "fold, unfold"],
  ["Enter", "open, show details"],
  ["[  ]", "fold all, unfold all"],
  ["a  d  w  s", "pan, zoom in and out"],
  ["z  0", "zoom to the span, to all"],
  ["n  N", "next, previous match"],
  ["e  E", "next, previous error"],
  ["m", "next gap"],
  ["p  r", "parent, root"],
  ["y", "copy a link"],
  ["t", "theme"],
  ["g s", "search"],
  ["Ctrl K", "jump to or run"],
  ["Esc", "one step back"],
];

export function Help({ close }: { close: () => void }) {
  return (
    <Dialog.Root open onOpenChange={(v) => !v && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="scrim" />
        <Dialog.Popup className="sheet" aria-label="Keys">
          <h3>Keys</h3>
          <div className="keys">
            {helpKeys.map(([k, what]) => (
              <div key={k}>
                <span className="mid">{what}</span>
                <kbd>{k}</kbd>
              </div>
            ))}
          </div>
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

interface Choice {
  group: string;
  label: string;
  hint: string;
  service?: string;
  run: () => void;
}

export function Palette({ close, help }: { close: () => void; help: () => void }) {
  const navigate = useNavigate();
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const { data: services = [] } = useQuery({
    queryKey: ["services"],
    queryFn: ({ signal }) => getServices(signal),
  });
  const choices: Choice[] = [];
  const id = traceIdIn(text);
  const want = text.trim().toLowerCase();
  if (id)
    choices.push({
      group: "Go to",
      label: `Trace ${id}`,
      hint: "",
      run: () => void navigate({ to: "/trace/$id", params: { id } }),
    });
  for (const s of services.filter((s) => s.toLowerCase().includes(want)).slice(0, 8))
    choices.push({
      group: "Go to",
      label: s,
      hint: "newest traces",
      service: s,
      run: () => void navigate({ to: "/search", search: { service: s } }),
    });
  const commands: [string, string, () => void][] = [
    ["Copy a link to this page", "y", () => dispatchEvent(new KeyboardEvent("keydown", { key: "y" }))],
    ["Light or dark", "t", toggleTheme],
    ["Show all keys", "?", help],
  ];
  for (const [label, hint, run] of commands)
    if (label.toLowerCase().includes(want)) choices.push({ group: "Run", label, hint, run });
  const run = (i: number) => {
    close();
    setText("");
    choices[i]?.run();
  };
  return (
    <Dialog.Root open onOpenChange={(v) => !v && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="scrim" />
        <Dialog.Popup className="sheet" aria-label="Jump to or run">
          <input
            className="in"
            role="combobox"
            aria-expanded="true"
            aria-controls="choices"
            aria-activedescendant={choices.length ? `choice-${at}` : undefined}
            aria-label="Jump to or run"
            placeholder="A service, a trace ID, a traceparent header, or a command"
            value={text}
            onChange={(e) => {
              setText(e.target.value);
              setAt(0);
            }}
            onKeyDown={(e) => {
              if (e.key === "ArrowDown") setAt((v) => Math.min(choices.length - 1, v + 1));
              else if (e.key === "ArrowUp") setAt((v) => Math.max(0, v - 1));
              else if (e.key === "Enter") run(at);
              else return;
              e.preventDefault();
            }}
          />
          <ul id="choices" role="listbox" aria-label="Choices">
            {choices.map((c, i) => (
              <li key={c.group + c.label} id={`choice-${i}`} role="option" aria-selected={i === at} onClick={() => run(i)}>
                {c.service && <Swatch service={c.service} />}
                <span className="grow ell">
                  {c.label} <small>{c.service ? c.hint : ""}</small>
                </span>
                {!c.service && c.hint && <kbd>{c.hint}</kbd>}
              </li>
            ))}
          </ul>
          {choices.length === 0 && <p className="state">Nothing is called that. A trace ID has 16 or 32 hexadecimal digits.</p>}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}
