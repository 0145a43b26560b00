// What floats above a page: the palette (go somewhere, run something) and the list of keys.
import { Dialog } from "@base-ui/react/dialog";
import { useQuery } from "@tanstack/react-query";
import { useNavigate } from "@tanstack/react-router";
import { useEffect, useRef, useState, type ReactNode } from "react";
import { getServices, openAPI } from "./api";
import { face, pageCommands, type Command } from "./commands";
import { Icon, Keys, Swatch } from "./parts";
import { toggleTheme } from "./shell";
import { traceIdIn } from "./url";

const everywhere: [string, string[]][] = [
  ["Jump to or run", ["Ctrl", "K"]],
  ["Search", ["g", "s"]],
  ["Light or dark", ["t"]],
  ["All keys", ["?"]],
];

function Sheet({ label, close, children }: { label: string; close: () => void; children: ReactNode }) {
  return (
    <Dialog.Root open onOpenChange={(v) => !v && close()}>
      <Dialog.Portal>
        <Dialog.Backdrop className="scrim" />
        <Dialog.Popup className="sheet" aria-label={label}>
          {children}
        </Dialog.Popup>
      </Dialog.Portal>
    </Dialog.Root>
  );
}

export function Help({ close }: { close: () => void }) {
  const page = pageCommands().filter((c) => c.keys.length > 0);
  const rows: [string, [string, string[]][]][] = [
    ["On this page", page.map((c) => [c.label, face(c)])],
    ["Everywhere", everywhere],
  ];
  return (
    <Sheet label="Keys" close={close}>
      <div className="sheetHead">
        <h2 className="grow">Keys</h2>
        <button className="ib" aria-label="Close" onClick={close}>
          <Icon name="x" />
        </button>
      </div>
      {rows.map(
        ([title, keys]) =>
          keys.length > 0 && (
            <section key={title}>
              <h3>{title}</h3>
              <dl className="keys">
                {keys.map(([what, k]) => (
                  <div key={what}>
                    <dt className="mid">{what}</dt>
                    <dd>
                      <Keys keys={k} />
                    </dd>
                  </div>
                ))}
              </dl>
            </section>
          ),
      )}
      <div className="sheetFoot">
        <span className="grow" />
        For programs:
        <a className="link" href={openAPI()} target="_blank" rel="noreferrer">
          this API, as OpenAPI
        </a>
      </div>
    </Sheet>
  );
}

interface Choice {
  group: string;
  label: string;
  hint?: string;
  keys?: string[];
  service?: string;
  run: () => void;
}

function useChoices(text: string, help: () => void): Choice[] {
  const navigate = useNavigate();
  const { data: services = [] } = useQuery({ queryKey: ["services"], queryFn: ({ signal }) => getServices(signal) });
  const want = text.trim().toLowerCase();
  const id = traceIdIn(text);
  const fits = (label: string) => label.toLowerCase().includes(want);
  const page = pageCommands()
    .filter((c) => !c.hidden && (want ? fits(c.label) : !c.minor))
    .map((c: Command) => ({ group: "On this page", label: c.label, keys: face(c), run: () => void c.run() }));
  const goes: Choice[] = services
    .filter(fits)
    .slice(0, want ? 8 : 5)
    .map((s) => ({
      group: "Go to",
      label: s,
      hint: "newest traces",
      service: s,
      run: () => void navigate({ to: "/search", search: { service: s } }),
    }));
  if (id) goes.unshift({ group: "Go to", label: `Trace ${id}`, run: () => void navigate({ to: "/trace/$id", params: { id } }) });
  if (fits("Search"))
    goes.push({ group: "Go to", label: "Search", keys: ["g", "s"], run: () => void navigate({ to: "/search" }) });
  const runs: Choice[] = [
    { group: "Run", label: "Light or dark", keys: ["t"], run: toggleTheme },
    { group: "Run", label: "Show all keys", keys: ["?"], run: help },
    {
      group: "Run",
      label: "Show the API",
      hint: "OpenAPI, for programs",
      run: () => void open(openAPI(), "_blank", "noreferrer"),
    },
  ];
  // What is typed is a place more often than a command; with nothing typed, the page comes first.
  return want ? [...goes, ...page, ...runs.filter((r) => fits(r.label))] : [...page, ...goes, ...runs];
}

export function Palette({ close, help }: { close: () => void; help: () => void }) {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const choices = useChoices(text, help);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    list.current?.querySelector(`#choice-${at}`)?.scrollIntoView({ block: "nearest" });
  }, [at]);
  const run = (i: number) => {
    if (!choices[i]) return;
    close();
    choices[i].run();
  };
  return (
    <Sheet label="Jump to or run" close={close}>
      <div className="sheetFind">
        <Icon name="search" />
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
        <kbd>Esc</kbd>
      </div>
      <ul id="choices" ref={list} role="listbox" aria-label="Choices">
        {choices.map((c, i) => (
          <li
            key={c.group + c.label}
            id={`choice-${i}`}
            className={c.group === choices[i - 1]?.group ? undefined : "first"}
            data-group={c.group}
            role="option"
            aria-selected={i === at}
            onClick={() => run(i)}
          >
            {c.service ? <Swatch service={c.service} /> : <Icon name={c.group === "Go to" ? "go" : "list"} />}
            <span className="grow ell">
              {c.label}
              {c.hint && <small> {c.hint}</small>}
            </span>
            {c.keys && <Keys keys={c.keys} silent />}
          </li>
        ))}
      </ul>
      {choices.length === 0 && <p className="state">Nothing is called that. A trace ID has 16 or 32 hexadecimal digits.</p>}
      <div className="sheetFoot" aria-hidden="true">
        <kbd>↑</kbd>
        <kbd>↓</kbd> choose <kbd>Enter</kbd> open <span className="grow" /> <kbd>?</kbd> all keys
      </div>
    </Sheet>
  );
}
