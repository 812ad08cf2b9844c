/** Arrow keys in a table move between rows, to the same place. */
import type { KeyboardEvent } from "react";

const CONTROLS = "a[href], button:not(:disabled), input:not(:disabled)";

export function moveByArrow(event: KeyboardEvent<HTMLElement>): void {
  if ((event.key !== "ArrowDown" && event.key !== "ArrowUp") || event.ctrlKey || event.altKey || event.metaKey) return;
  if (!(event.target instanceof HTMLElement) || event.target.closest("[role=menu]")) return;
  const row = event.target.closest("tbody > tr");
  const next = event.key === "ArrowDown" ? row?.nextElementSibling : row?.previousElementSibling;
  if (!row || !next) return;
  const place = [...row.querySelectorAll(CONTROLS)].indexOf(event.target);
  const there = next.querySelectorAll<HTMLElement>(CONTROLS);
  const found = there[Math.min(Math.max(place, 0), there.length - 1)];
  if (!found) return;
  event.preventDefault();
  found.focus();
}
