/** Single keys, where nobody types and no dialog is open. They can be switched off: WCAG 2.1.4. */
import { useEffect } from "react";
import { useNavigate } from "react-router";
import { readStored } from "@/api/stored";
import { MAIN } from "./focus";
import { GO, shortcutOf } from "./shortcuts";

export const SWITCH = "shortcuts";
/** Milliseconds from `g` to the letter of a place. */
const MOMENT = 1500;
const TAKES_KEYS =
  "input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable], .v-guest, .v-terminal";

export function useShortcuts(showHelp: () => void): void {
  const navigate = useNavigate();
  useEffect(() => {
    let before: { key: string; at: number } | undefined;
    const press = (event: KeyboardEvent) => {
      const { key, target, timeStamp } = event;
      const last = before && timeStamp - before.at < MOMENT ? before.key : undefined;
      before = undefined;
      if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (target instanceof Element && target.closest(TAKES_KEYS)) return;
      if (document.querySelector("[role=dialog]") || !readStored(SWITCH, true)) return;
      if (key === GO && last !== GO) before = { key, at: timeStamp };
      const shortcut = shortcutOf(key, last);
      if (!shortcut) return;
      if (shortcut.is === "go") void navigate(shortcut.path);
      else if (shortcut.is === "help") showHelp();
      else {
        const field = document.querySelector<HTMLElement>(`#${MAIN} .v-toolbar input`);
        if (!field) return;
        field.focus();
      }
      event.preventDefault();
    };
    addEventListener("keydown", press);
    return () => removeEventListener("keydown", press);
  }, [navigate, showHelp]);
}
