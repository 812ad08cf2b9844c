/** Which columns are shown. */
import { Menu, MenuContent, MenuItem, MenuList, MenuToggle } from "@patternfly/react-core";
import { useState } from "react";
import { Icon } from "@/look/Icon";
import { Dropdown } from "../Dropdown";

interface Props {
  columns: readonly { key: string; title: string; names?: boolean }[];
  shown: readonly string[];
  onChange: (keys: string[]) => void;
}

export function ColumnChoice({ columns, shown, onChange }: Props) {
  const [open, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plain"
          isExpanded={open}
          onClick={() => setOpen(!open)}
          aria-label="Columns"
          icon={<Icon name="columns" />}
        />
      )}
    >
      <Menu
        isPlain
        onSelect={(_event, key) =>
          onChange(shown.includes(String(key)) ? shown.filter((one) => one !== key) : [...shown, String(key)])
        }
      >
        <MenuContent>
          <MenuList aria-label="Columns">
            {columns
              .filter((one) => !one.names)
              .map((one) => (
                <MenuItem key={one.key} itemId={one.key} hasCheckbox isSelected={shown.includes(one.key)}>
                  {one.title}
                </MenuItem>
              ))}
          </MenuList>
        </MenuContent>
      </Menu>
    </Dropdown>
  );
}
