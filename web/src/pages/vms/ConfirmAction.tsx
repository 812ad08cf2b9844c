/** What is asked before something is done, over the table and the wall: they stay as they are, with search and selection. */
import { useObject, type Vm } from "@/api/live";
import { DeleteVms } from "@/ui/DeleteVms";
import { ForceOff } from "@/ui/ForceOff";
import { DIALOGS, type OwnDialog } from "../vm/dialogs";
import { Stop } from "./Stop";

export type PendingAction =
  | { action: "kill" | "delete"; vms: readonly Vm[] }
  | { action: "stop" | OwnDialog; vms: readonly [Vm] };

interface Props {
  asked: PendingAction;
  onDone: () => void;
  onClose: () => void;
}

export function ConfirmAction({ asked, ...props }: Props) {
  if (asked.action === "kill") return <ForceOff vms={asked.vms} {...props} />;
  if (asked.action === "delete") return <DeleteVms vms={asked.vms} {...props} />;
  return <OfOne action={asked.action} vm={asked.vms[0]} onClose={props.onClose} />;
}

function OfOne({ action, vm, onClose }: { action: "stop" | OwnDialog; vm: Vm; onClose: () => void }) {
  const now = useObject("vm", vm.vmid); // it may be stopped, or changed, meanwhile
  const Dialog = action === "stop" ? Stop : DIALOGS[action];
  return <Dialog vm={now ?? vm} onClose={onClose} />;
}
