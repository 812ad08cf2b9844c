/** PatternFly's dropdown as menus of buttons are expected to be: the focus goes to the first item, and back to the button. */

import { type DropdownProps, Dropdown as PatternFlyDropdown } from "@patternfly/react-core";
import type { KeyboardEvent } from "react";

/** Where menus and popovers are put: inside a landmark, above what scrolls, and inside what is in full screen. */
export const menuRoom = () =>
  (document.fullscreenElement as HTMLElement | null) ?? document.getElementById("main") ?? document.body;

/** The first item, and the last: PatternFly's menus know the arrows alone. */
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
