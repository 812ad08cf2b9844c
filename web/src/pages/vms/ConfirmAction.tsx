/** What is asked before something is lost, in the table and on the wall. */
import type { Vm } from "@/api/live";
import { DeleteVms } from "@/ui/DeleteVms";
import { ForceOff } from "@/ui/ForceOff";

export interface PendingAction {
  action: "kill" | "delete";
  vms: readonly Vm[];
}

interface Props {
  asked: PendingAction;
  onDone: () => void;
  onClose: () => void;
}

export function ConfirmAction({ asked, ...props }: Props) {
  return asked.action === "kill" ? <ForceOff vms={asked.vms} {...props} /> : <DeleteVms vms={asked.vms} {...props} />;
}
