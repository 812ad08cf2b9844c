/** What can be asked of a VM in its present state, as buttons, bulk actions and the palette offer it. */
import { useCallback } from "react";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import type { State } from "@/api/schema";
import { useAction } from "./actions";

export interface VmAction {
  verb: "start" | "resume" | "pause" | "stop" | "kill";
  title: string;
  doing: string;
  state: "RUNNING" | "PAUSED" | "STOPPED";
  force: boolean;
  /** What is lost if it is done: asked before. */
  danger?: string;
}

const START: VmAction = { verb: "start", title: "Start", doing: "Starting", state: "RUNNING", force: false };
const RESUME: VmAction = { verb: "resume", title: "Resume", doing: "Resuming", state: "RUNNING", force: false };
const PAUSE: VmAction = { verb: "pause", title: "Pause", doing: "Pausing", state: "PAUSED", force: false };
const STOP: VmAction = {
  verb: "stop",
  title: "Stop",
  doing: "Pressing the power button of",
  state: "STOPPED",
  force: false,
};
const KILL: VmAction = {
  verb: "kill",
  title: "Force off",
  doing: "Switching off",
  state: "STOPPED",
  force: true,
  danger: "This is pulling the plug: what the guest has not written to its disks is lost.",
};

export const ACTIONS: Record<State, VmAction[]> = {
  STOPPED: [START],
  STARTING: [KILL],
  RUNNING: [PAUSE, STOP, KILL],
  PAUSING: [KILL],
  PAUSED: [RESUME, STOP, KILL],
  RESUMING: [KILL],
  STOPPING: [KILL],
};

export const actionsFor = (vm: Vm): VmAction[] => ACTIONS[vm.state];

/** Carry one out; how it went is shown. */
export function useVmAction(): (vm: Vm, action: VmAction) => Promise<boolean> {
  const act = useAction();
  return useCallback(
    (vm, action) =>
      act({
        doing: `${action.doing} ${vm.name}`,
        done:
          action.state === "STOPPED" && !action.force
            ? `${vm.name} was asked to shut down`
            : `${vm.name} is ${action.state}`,
        do: () => call("put", "/v/vm/state", { vmid: vm.vmid, state: action.state, force: action.force }),
      }),
    [act],
  );
}
