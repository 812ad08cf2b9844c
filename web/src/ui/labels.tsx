/** States and causes in one look everywhere. */
import { Label } from "@patternfly/react-core";
import { InProgressIcon, OffIcon, PauseIcon, PlayIcon } from "@patternfly/react-icons";
import type { Vm } from "@/api/live";
import type { State, TaskState } from "@/api/schema";

export function StateLabel({ state }: { state: State }) {
  if (state === "RUNNING")
    return (
      <Label color="green" icon={<PlayIcon />} isCompact>
        Running
      </Label>
    );
  if (state === "PAUSED")
    return (
      <Label color="orange" icon={<PauseIcon />} isCompact>
        Paused
      </Label>
    );
  if (state === "STOPPED")
    return (
      <Label color="grey" icon={<OffIcon />} isCompact>
        Stopped
      </Label>
    );
  const word = state.charAt(0) + state.slice(1).toLowerCase();
  return (
    <Label color="blue" icon={<InProgressIcon />} isCompact>
      {word}
    </Label>
  );
}

const TASK = { RUNNING: "blue", DONE: "green", FAILED: "red", CANCELLED: "grey" } as const;

export function TaskLabel({ state }: { state: TaskState }) {
  return (
    <Label color={TASK[state]} isCompact>
      {state.charAt(0) + state.slice(1).toLowerCase()}
    </Label>
  );
}

/** Why a person should look at this VM; nothing if there is no reason to. */
export function trouble(vm: Vm): string | undefined {
  if (vm.unreachable_since !== undefined) return "The host does not answer: its state is the last known one.";
  if (vm.state === "PAUSED" && vm.reason && vm.reason.cause !== "asked") return vm.reason.message;
  if (vm.state === "STOPPED" && vm.wanted === "RUNNING" && vm.reason)
    return `Wanted, but not running: ${vm.reason.message}`;
  if (vm.state === "STOPPED" && vm.reason && ["killed", "internal-error", "host-signal"].includes(vm.reason.cause))
    return vm.reason.message;
  return undefined;
}
