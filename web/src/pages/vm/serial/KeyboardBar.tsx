/** Who looks on, who types, and the handing over. */
import { Status } from "@/ui/labels";
import type { Keyboard, Move } from "./keyboard";

interface Props {
  keyboard: Keyboard;
  onMove: (move: Move) => void;
}

export function KeyboardBar({ keyboard, onMove }: Props) {
  const { viewers, holder, yours, asked } = keyboard;
  const others = viewers.length - 1;
  return (
    <div role="status" className="v-keyboard">
      <Status tone={yours ? "ok" : holder ? "warn" : "off"}>
        {yours
          ? "You have the keyboard"
          : holder
            ? `${holder} has the keyboard`
            : "The keyboard is free: type to take it"}
      </Status>
      {others > 0 && <span title={viewers.join(", ")}>{`${viewers.length} viewers`}</span>}
      {yours && others > 0 && (
        <button type="button" className="v-tool" onClick={() => onMove("release")}>
          Release it
        </button>
      )}
      {!yours && holder && (
        <button type="button" className="v-tool" disabled={asked === "waiting"} onClick={() => onMove("ask")}>
          {asked === "waiting" ? `Asking ${holder}: at most 10 s` : "Ask for it"}
        </button>
      )}
    </div>
  );
}

/** What became of asking, and who asks: a line over the terminal. */
export function KeyboardAsked({ keyboard: { holder, yours, asks, asked }, onMove }: Props) {
  return (
    <div role="status" className="v-console-asked">
      {asked === "refused" && holder && <div className="v-note v-note-busy">{holder} keeps the keyboard for now</div>}
      {yours && asks && (
        <div className="v-note v-note-warn">
          <strong>{asks} asks for the keyboard</strong>
          <span>If you do not answer, it is handed over after 10 seconds.</span>
          <button type="button" className="v-link" onClick={() => onMove("give")}>
            Give it
          </button>
          <button type="button" className="v-link" onClick={() => onMove("keep")}>
            Keep it
          </button>
        </div>
      )}
    </div>
  );
}
