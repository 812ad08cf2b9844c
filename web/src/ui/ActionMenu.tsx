/** The actions for something, as a menu behind three dots or a button with text. */
import { DropdownList, MenuToggle } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { Icon } from "@/look/Icon";
import { Dropdown } from "./Dropdown";

export function ActionMenu({
  name,
  word,
  disabled = false,
  children,
}: {
  /** The label of the dots; a button with text needs none. */
  name?: string;
  word?: string;
  disabled?: boolean;
  /** The items. */
  children: ReactNode;
}) {
  const [open, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant={word === undefined ? "plain" : "primary"}
          icon={word === undefined && <Icon name="more" />}
          aria-label={name}
          isExpanded={open}
          isDisabled={disabled}
          onClick={() => setOpen(!open)}
        >
          {word}
        </MenuToggle>
      )}
    >
      <DropdownList>{children}</DropdownList>
    </Dropdown>
  );
}
