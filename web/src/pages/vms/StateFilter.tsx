/** Which states are shown: any of those that are ticked. */
import { Badge, MenuToggle, Select, SelectList, SelectOption } from "@patternfly/react-core";
import { useState } from "react";
import { menuRoom, moveToEnd } from "@/ui/Dropdown";
import { FACET_WORDS, FACETS, type Facet } from "./filters";

export function StateFilter({ facets, onChange }: { facets: Facet[]; onChange: (facets: Facet[]) => void }) {
  const [open, setOpen] = useState(false);
  return (
    <div>
      <Select
        role="menu" // of checkboxes
        isOpen={open}
        onOpenChange={setOpen}
        shouldFocusFirstItemOnOpen
        onKeyDown={moveToEnd}
        popperProps={{ appendTo: menuRoom }}
        selected={facets}
        onSelect={(_event, value) => onChange(FACETS.filter((one) => (one === value) !== facets.includes(one)))}
        toggle={(ref) => (
          <MenuToggle
            ref={ref}
            isExpanded={open}
            onClick={() => setOpen(!open)}
            badge={facets.length > 0 ? <Badge isRead>{facets.length}</Badge> : undefined}
          >
            State
          </MenuToggle>
        )}
      >
        <SelectList aria-label="State">
          {FACETS.map((one) => (
            <SelectOption key={one} value={one} hasCheckbox isSelected={facets.includes(one)}>
              {FACET_WORDS[one]}
            </SelectOption>
          ))}
        </SelectList>
      </Select>
    </div>
  );
}
