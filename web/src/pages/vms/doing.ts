/** What the table can do to one VM or to many: which of them it suits, and how it is told. */
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import { carryOutAll } from "@/ui/bulk";
import { actionsFor, type VmAction } from "@/ui/vmActions";

export type Verb = VmAction["verb"];

/** Shown over a selection, in this order. */
export const BULK: Record<Verb, { title: string; done: string }> = {
  start: { title: "Start", done: "started" },
  resume: { title: "Resume", done: "resumed" },
  pause: { title: "Pause", done: "paused" },
  stop: { title: "Stop", done: "asked to shut down" },
  kill: { title: "Force off", done: "switched off" },
};

export const suits = (vm: Vm, verb: Verb): VmAction | undefined => actionsFor(vm).find((one) => one.verb === verb);

export function doToAll(vms: readonly Vm[], verb: Verb): Promise<boolean> {
  const first = vms.map((vm) => suits(vm, verb)).find((one) => one !== undefined);
  return carryOutAll(vms, {
    doing: first?.doing ?? BULK[verb].title,
    done: BULK[verb].done,
    noun: "VM",
    name: (vm) => vm.name,
    do: async (vm) => {
      if (first) await call("put", "/v/vm/state", { vmid: vm.vmid, state: first.state, force: first.force });
    },
  });
}

export function deleteAll(vms: readonly Vm[], how: { force: boolean; purge: boolean }): Promise<boolean> {
  return carryOutAll(vms, {
    doing: how.purge ? "Removing" : "Deleting",
    done: how.purge ? "removed for good" : "moved into the trash",
    noun: "VM",
    name: (vm) => vm.name,
    do: async (vm) => {
      if (how.force && vm.state !== "STOPPED")
        await call("put", "/v/vm/state", { vmid: vm.vmid, state: "STOPPED", force: true });
      await call("delete", "/v/vm", { vmid: vm.vmid, purge: how.purge });
    },
  });
}
