/** The actions on VMs by their states: one object for each, for buttons, menus, the bulk bar and the palette. */
import { call } from "@/api/call";
import type { May, Vm } from "@/api/live";
import type { State } from "@/api/schema";
import type { IconName } from "@/look/Icon";
import { runAction } from "./actions";
import { runBulk } from "./bulk";

export interface VmAction {
  verb: "start" | "hold" | "resume" | "pause" | "stop" | "press" | "stay" | "kill";
  title: string;
  /** "Starting", for the toast meanwhile. */
  ongoing: string;
  /** "started", as in "3 VMs started". */
  done: string;
  state: "RUNNING" | "PAUSED" | "STOPPED";
  force: boolean;
  /** What is lost by it: `ForceOff` asks for confirmation. */
  danger?: string;
}

const action = (
  verb: VmAction["verb"],
  title: string,
  ongoing: string,
  done: string,
  state: VmAction["state"],
): VmAction => ({ verb, title, ongoing, done, state, force: false });

export const START = action("start", "Start", "Starting", "started", "RUNNING");
/** Loaded, and paused before its first instruction: for a debugger, or to open the console first. */
export const HOLD = action("hold", "Start paused", "Loading", "loaded and paused", "PAUSED");
const RESUME = action("resume", "Resume", "Resuming", "resumed", "RUNNING");
const PAUSE = action("pause", "Pause", "Pausing", "paused", "PAUSED");
export const STOP = action("stop", "Stop", "Pressing the power button of", "asked to shut down", "STOPPED");
/** For a VM that is shutting down: its guest may not have noticed, or may be asking a user at its screen. */
const PRESS = action("press", "Press power button", "Pressing the power button of", "asked to shut down", "STOPPED");
/** For a VM that is restarting. */
const STAY = action("stay", "Do not start again", "Ending the restart of", "not to be started again", "STOPPED");
export const KILL: VmAction = {
  ...action("kill", "Force off", "Switching off", "switched off", "STOPPED"),
  force: true,
  danger: "Like pulling the plug: data that the guest has not written to its disks is lost.",
};

const SUITS: Record<State, VmAction[]> = {
  STOPPED: [START],
  STARTING: [KILL],
  RUNNING: [PAUSE, STOP, KILL],
  PAUSING: [KILL],
  PAUSED: [RESUME, STOP, KILL],
  RESUMING: [KILL],
  STOPPING: [PRESS, KILL],
};

const RESTARTING = [PRESS, STAY, KILL];

export const ICONS: Record<VmAction["verb"], IconName> = {
  start: "play",
  hold: "play",
  resume: "play",
  pause: "pause",
  stop: "power",
  press: "power",
  stay: "power",
  kill: "power",
};

/** What people of other tools look for. */
export const ALSO: Partial<Record<VmAction["verb"], string>> = {
  start: "power on boot",
  stop: "shut down shutdown power off",
  kill: "hard power off",
};

/** Words by which all are found. */
export const VERBS = [
  ...new Set([...Object.values(SUITS).flat(), ...RESTARTING].flatMap((one) => [one.title.toLowerCase(), one.verb])),
  ...Object.values(ALSO),
];

/** Actions for a VM in its state, which the user may use. */
export const actionsOf = (vm: Vm, may: May): VmAction[] => (may("vm.state", vm.gid) ? suiting(vm) : []);

const suiting = (vm: Vm): VmAction[] => (vm.restarting && vm.state === "STOPPING" ? RESTARTING : SUITS[vm.state]);

/** Actions for some of these VMs, and for which. */
export function actionsOfAll(vms: readonly Vm[], may: May): { action: VmAction; vms: Vm[] }[] {
  const those = (one: VmAction) => vms.filter((vm) => actionsOf(vm, may).includes(one));
  return [START, RESUME, PAUSE, STOP, KILL]
    .map((one) => ({ action: one, vms: those(one) }))
    .filter((one) => one.vms.length > 0);
}

/** Forcing off a VM that restarts does not mean that it should stay off. */
const ask = (vm: Vm, one: VmAction) =>
  one === PRESS && vm.restarting
    ? call("put", "/v/vm/restart", { vmid: vm.vmid })
    : call("put", "/v/vm/state", { vmid: vm.vmid, state: one.state, force: one.force });

/** Done later, once the guest has shut down. */
const ASKED: Partial<Record<VmAction["verb"], string>> = {
  stop: "was asked to shut down",
  press: "was asked to shut down",
  stay: "will not be started again",
};

/** Whether it succeeded for all; progress is shown. The caller has asked for confirmation of a `danger`. */
export function runOnVms(vms: readonly Vm[], one: VmAction): Promise<boolean> {
  const [only] = vms;
  if (only && vms.length === 1)
    return runAction({
      pending: `${one.ongoing} ${only.name}`,
      done: `${only.name} ${ASKED[one.verb] ?? `is ${one.state.toLowerCase()}`}`,
      do: () => ask(only, one),
    });
  return runBulk(vms, {
    pending: one.ongoing,
    done: one.done,
    noun: "VM",
    name: (vm) => vm.name,
    do: (vm) => ask(vm, one),
  });
}
