/** The menu of a host. */
import { Divider, DropdownItem } from "@patternfly/react-core";
import type { NodeInfo } from "@/api/schema";
import { ActionMenu } from "@/ui/ActionMenu";
import { count } from "@/ui/format";
import { changesOf, type DutyChange } from "./words";

export function HostActions({ host, onWish }: { host: NodeInfo; onWish: (wish: DutyChange | "remove") => void }) {
  const held = host.vms > 0 ? `${count(host.vms, "VM")} on it: move or delete them first` : undefined;
  return (
    <ActionMenu name={`Actions of ${host.name}`}>
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
    </ActionMenu>
  );
}
