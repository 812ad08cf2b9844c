/** PatternFly's dropdown with the expected focus: on the first item, then back on the button. */

import { type DropdownProps, Dropdown as PatternFlyDropdown } from "@patternfly/react-core";
import type { KeyboardEvent } from "react";

/** The container of menus and popovers: inside a landmark, above anything that scrolls, and inside a full screen. */
export const menuRoom = () =>
  (document.fullscreenElement as HTMLElement | null) ?? document.getElementById("main") ?? document.body;

/** Home and End, as PatternFly's menus support only arrows. */
export function moveToEnd(event: KeyboardEvent<HTMLElement>): void {
  if (event.key !== "Home" && event.key !== "End") return;
  if ((event.target as HTMLElement).matches("[type=text], [type=search]")) return;
  const items = event.currentTarget.querySelectorAll<HTMLElement>("li :is(button, a, input):not(:disabled)");
  items[event.key === "Home" ? 0 : items.length - 1]?.focus();
  event.preventDefault();
}

export function Dropdown({ popperProps, ...props }: DropdownProps) {
  return (
    <PatternFlyDropdown
      shouldFocusFirstItemOnOpen
      shouldFocusToggleOnSelect
      onKeyDown={moveToEnd}
      popperProps={{ appendTo: menuRoom, preventOverflow: true, ...popperProps }}
      {...props}
    />
  );
}
