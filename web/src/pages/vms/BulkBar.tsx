/** What can be done with all selected VMs that it suits. */
import { Divider, DropdownItem } from "@patternfly/react-core";
import { useMay, type Vm } from "@/api/live";
import { ActionMenu } from "@/ui/ActionMenu";
import { actionsOfAll, runOnVms } from "@/ui/vmActions";
import { isAsked, type PendingAction } from "./ConfirmAction";

interface Props {
  vms: readonly Vm[];
  ask: (asked: PendingAction) => void;
}

export function BulkBar({ vms, ask }: Props) {
  const may = useMay();
  const removable = vms.filter((vm) => may("vm.remove", vm.gid));
  const offered = actionsOfAll(vms, may);
  const words = (title: string, some: readonly Vm[]) =>
    some.length === vms.length ? title : `${title} ${some.length.toLocaleString()} of them`;
  return (
    <div>
      <ActionMenu word="Actions" disabled={offered.length === 0 && removable.length === 0}>
        {offered.map(({ action, vms }) => (
          <DropdownItem
            key={action.verb}
            isDanger={action.danger !== undefined}
            onClick={() => (isAsked(action) ? ask({ action: action.verb, vms }) : void runOnVms(vms, action))}
          >
            {words(action.title, vms)}
            {isAsked(action) && "…"}
          </DropdownItem>
        ))}
        {offered.length > 0 && removable.length > 0 && <Divider key="line" component="li" />}
        {removable.length > 0 && (
          <DropdownItem key="delete" isDanger onClick={() => ask({ action: "delete", vms: removable })}>
            {words("Delete", removable)}…
          </DropdownItem>
        )}
      </ActionMenu>
    </div>
  );
}
