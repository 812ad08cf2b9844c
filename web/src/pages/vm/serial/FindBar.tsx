/** A search in what a terminal has shown. */
import type { Terminal } from "@xterm/xterm";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import { Icon } from "@/look/Icon";
import { placesOf } from "./find";

export function FindBar({ terminal, onClose }: { terminal: () => Terminal | undefined; onClose: () => void }) {
  const [words, setWords] = useState("");
  const [told, setTold] = useState("");
  /** Which of them is shown, counted from the newest. */
  const at = useRef(0);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const show = (wanted: string, step: number) => {
    const shown = terminal();
    if (!shown) return;
    const places = placesOf(wanted, shown.buffer.active, shown.cols);
    at.current = places.length === 0 ? 0 : (at.current + step + places.length) % places.length;
    const place = places[places.length - 1 - at.current];
    setTold(wanted === "" ? "" : place ? `${places.length - at.current} of ${places.length}` : "Not found");
    if (!place) return shown.clearSelection();
    shown.select(place.column, place.row, wanted.length);
    shown.scrollToLine(Math.max(0, place.row - Math.floor(shown.rows / 2)));
  };
  const close = () => {
    onClose();
    terminal()?.focus();
  };
  const press = (event: KeyboardEvent) => {
    if (event.key === "Escape") close();
    else if (event.key === "Enter") show(words, event.shiftKey ? -1 : 1);
    else return;
    event.preventDefault();
  };
  return (
    <search className="v-find-bar">
      <input
        ref={field}
        type="text"
        aria-label="Search the output"
        placeholder="Search the output"
        value={words}
        onKeyDown={press}
        onChange={(event) => {
          at.current = 0;
          setWords(event.currentTarget.value);
          show(event.currentTarget.value, 0);
        }}
      />
      <span role="status">{told}</span>
      <button
        type="button"
        className="v-tool"
        aria-label="Earlier"
        title="Earlier (Enter)"
        onClick={() => show(words, 1)}
      >
        <Icon name="up" />
      </button>
      <button
        type="button"
        className="v-tool"
        aria-label="Later"
        title="Later (Shift-Enter)"
        onClick={() => show(words, -1)}
      >
        <Icon name="down" />
      </button>
      <button type="button" className="v-tool" aria-label="Close the search" onClick={close}>
        <Icon name="close" />
      </button>
    </search>
  );
}
