/** PatternFly's dropdown as menus of buttons are expected to be: the focus goes to the first item, and back to the button. */
import { type DropdownProps, Dropdown as PatternFlyDropdown } from "@patternfly/react-core";

/** Where menus and popovers are put: inside a landmark, above what scrolls, and inside what is in full screen. */
export const menuRoom = () =>
  (document.fullscreenElement as HTMLElement | null) ?? document.getElementById("main") ?? document.body;

export function Dropdown({ popperProps, ...props }: DropdownProps) {
  return (
    <PatternFlyDropdown
      shouldFocusFirstItemOnOpen
      shouldFocusToggleOnSelect
      popperProps={{ appendTo: menuRoom, ...popperProps }}
      {...props}
    />
  );
}
