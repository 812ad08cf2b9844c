/** What can be done with all selected VMs that it suits. */
import { DropdownItem, DropdownList, MenuToggle, ToolbarItem } from "@patternfly/react-core";
import { useState } from "react";
import { useMay, type Vm } from "@/api/live";
import { Dropdown } from "@/ui/Dropdown";
import type { Question } from "./Asking";
import { BULK, doToAll, suits, type Verb } from "./doing";

interface Props {
  vms: readonly Vm[];
  ask: (question: Question) => void;
}

export function BulkBar({ vms, ask }: Props) {
  const [open, setOpen] = useState(false);
  const may = useMay();
  const steerable = vms.filter((vm) => may("vm.state", vm.gid));
  const removable = vms.filter((vm) => may("vm.remove", vm.gid));
  const offered = (Object.keys(BULK) as Verb[])
    .map((verb) => ({ verb, vms: steerable.filter((vm) => suits(vm, verb)) }))
    .filter((one) => one.vms.length > 0);
  const words = (title: string, some: readonly Vm[]) =>
    some.length === vms.length ? title : `${title} ${some.length.toLocaleString()} of them`;
  return (
    <ToolbarItem>
      <Dropdown
        isOpen={open}
        onOpenChange={setOpen}
        onSelect={() => setOpen(false)}
        popperProps={{ position: "right" }}
        toggle={(ref) => (
          <MenuToggle
            ref={ref}
            variant="primary"
            isExpanded={open}
            onClick={() => setOpen(!open)}
            isDisabled={offered.length === 0 && removable.length === 0}
          >
            Actions
          </MenuToggle>
        )}
      >
        <DropdownList>
          {offered.map((one) => (
            <DropdownItem
              key={one.verb}
              isDanger={one.verb === "kill"}
              onClick={() =>
                one.verb === "kill" ? ask({ about: "kill", vms: one.vms }) : void doToAll(one.vms, one.verb)
              }
            >
              {words(BULK[one.verb].title, one.vms)}
              {one.verb === "kill" && "…"}
            </DropdownItem>
          ))}
          {removable.length > 0 && (
            <DropdownItem key="delete" isDanger onClick={() => ask({ about: "delete", vms: removable })}>
              {words("Delete", removable)}…
            </DropdownItem>
          )}
        </DropdownList>
      </Dropdown>
    </ToolbarItem>
  );
}
