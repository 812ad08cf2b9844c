/** What is asked before something is done, over the table and the wall: they stay as they are, with search and selection. */
import { useObject, type Vm } from "@/api/live";
import { DeleteVms } from "@/ui/DeleteVms";
import { ForceOff } from "@/ui/ForceOff";
import { KILL, STOP, type VmAction } from "@/ui/vmActions";
import { DIALOGS, type OwnDialog } from "../vm/dialogs";
import { Stop } from "./Stop";

export type PendingAction =
  | { action: "stop" | "kill" | "delete"; vms: readonly Vm[] }
  | { action: OwnDialog; vms: readonly [Vm] };

/** What is asked before here, and not done at once. */
export const isAsked = (action: VmAction): action is VmAction & { verb: "stop" | "kill" } =>
  action === STOP || action === KILL;

interface Props {
  asked: PendingAction;
  onDone: () => void;
  onClose: () => void;
}

export function ConfirmAction({ asked, ...props }: Props) {
  if (asked.action === "stop") return <Stop vms={asked.vms} onClose={props.onClose} />;
  if (asked.action === "kill") return <ForceOff vms={asked.vms} {...props} />;
  if (asked.action === "delete") return <DeleteVms vms={asked.vms} {...props} />;
  return <OfOne action={asked.action} vm={asked.vms[0]} onClose={props.onClose} />;
}

function OfOne({ action, vm, onClose }: { action: OwnDialog; vm: Vm; onClose: () => void }) {
  const now = useObject("vm", vm.vmid); // it may be stopped, or changed, meanwhile
  const Dialog = DIALOGS[action];
  return <Dialog vm={now ?? vm} onClose={onClose} />;
}
