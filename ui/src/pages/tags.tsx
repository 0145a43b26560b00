// The field of attributes: completes keys, and behind "key=" the values that were seen, from the store's statistics.
import { Autocomplete } from "@base-ui/react/autocomplete";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo, useRef, useState } from "react";
import { getKeys, getValues } from "../api";
import { count } from "../format";
import { lastTag, quoted } from "../url";
import styles from "./search.module.css";

interface Choice {
  text: string; // what the field holds when it is chosen
  label: string;
  note: string;
}

const LABEL = "Attribute: key=value, or key alone";

/** What contains the words typed, what begins with them first. */
function matching<T>(all: T[], typed: string, text: (x: T) => string): T[] {
  const t = typed.toLowerCase();
  const found = all.filter((x) => text(x).toLowerCase().includes(t));
  const begins = (x: T) => text(x).toLowerCase().startsWith(t);
  return [...found.filter(begins), ...found.filter((x) => !begins(x))];
}

export function Tags({ service, times }: { service?: string; times: () => URLSearchParams }) {
  const [text, setText] = useState("");
  const [open, setOpen] = useState(false);
  const held = useRef(false); // a key was chosen: its values come next
  const { before, key, value } = lastTag(text);
  const keys = useQuery({
    queryKey: ["attributes", service, times().get("range")],
    queryFn: ({ signal }) => getKeys(service, times(), signal),
    enabled: open,
  });
  const values = useQuery({
    queryKey: ["values", service, key, times().get("range")],
    queryFn: ({ signal }) => getValues(service, key, times(), signal),
    enabled: open && value !== undefined && key !== "",
    placeholderData: value === undefined ? undefined : keepPreviousData,
  });
  const items = useMemo<Choice[]>(() => {
    if (value !== undefined) {
      const all = values.data?.key === key ? values.data.values : [];
      return matching(all, value, (v) => v.value).map((v) => ({
        text: `${before}${key}=${quoted(v.value)}`,
        label: v.value === "" ? '""' : v.value,
        note: count(v.spans),
      }));
    }
    const found = matching(keys.data ?? [], key, (k) => k.key);
    const failed = "error=true".includes(key) ? [{ text: `${before}error=true`, label: "error=true", note: "failed spans" }] : [];
    return [...found.map((k) => ({ text: `${before}${k.key}=`, label: k.key, note: count(k.spans) })), ...failed].slice(0, 200);
  }, [before, key, value, keys.data, values.data]);
  const hint =
    value === undefined
      ? keys.isSuccess && keys.data.length === 0 && "no attributes in this time"
      : values.isSuccess && values.data.key === key && values.data.values.length === 0 && "no values are known";
  return (
    <Autocomplete.Root
      items={items}
      mode="none"
      value={text}
      onValueChange={(v) => {
        held.current = v.endsWith("=") && v !== text;
        setText(v);
      }}
      itemToStringValue={(i: Choice) => i.text}
      open={open}
      onOpenChange={(next, details) => {
        if (!next && details.reason === "item-press" && held.current) {
          details.cancel();
          return;
        }
        setOpen(next);
      }}
      openOnInputClick
    >
      <label className="field">
        <span>{LABEL}</span>
        <Autocomplete.Input name="tag" placeholder="http.response.status_code=500" spellCheck={false} className="mono" />
      </label>
      <Autocomplete.Portal>
        <Autocomplete.Positioner className="popAt" sideOffset={4} align="start">
          <Autocomplete.Popup className="pop">
            <Autocomplete.Empty>{items.length === 0 && hint && <p className={styles.hint}>{hint}</p>}</Autocomplete.Empty>
            <Autocomplete.List aria-label={value === undefined ? "Attribute keys" : `Values of ${key}`}>
              {(item: Choice) => (
                <Autocomplete.Item key={item.text} value={item} className="mono">
                  <span className={styles.choice}>{item.label}</span>
                  <span className={styles.note}>{item.note}</span>
                </Autocomplete.Item>
              )}
            </Autocomplete.List>
          </Autocomplete.Popup>
        </Autocomplete.Positioner>
      </Autocomplete.Portal>
    </Autocomplete.Root>
  );
}
