/** The menu of a host. */
import { Divider, DropdownItem, DropdownList, MenuToggle } from "@patternfly/react-core";
import { useState } from "react";
import type { NodeInfo } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { Dropdown } from "@/ui/Dropdown";
import { count } from "@/ui/format";
import { changesOf, type DutyChange } from "./words";

export function HostActions({ host, onWish }: { host: NodeInfo; onWish: (wish: DutyChange | "remove") => void }) {
  const [open, setOpen] = useState(false);
  const held = host.vms > 0 ? `${count(host.vms, "VM")} on it: move or delete them first` : undefined;
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      onSelect={() => setOpen(false)}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plain"
          isExpanded={open}
          onClick={() => setOpen(!open)}
          aria-label={`Actions of ${host.name}`}
          icon={<Icon name="more" />}
        />
      )}
    >
      <DropdownList className="v-why">
        {changesOf(host).map((change) => (
          <DropdownItem key={change.duty} onClick={() => onWish(change)}>
            {change.verb}…
          </DropdownItem>
        ))}
        {!host.own && (
          <>
            <Divider component="li" />
            <DropdownItem
              isDanger={!held}
              onClick={() => onWish("remove")}
              isAriaDisabled={held !== undefined}
              description={held}
            >
              Remove…
            </DropdownItem>
          </>
        )}
      </DropdownList>
    </Dropdown>
  );
}
