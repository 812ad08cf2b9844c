/** What is wrong with a VM, judging by its state. */
import type { Vm } from "@/api/live";

/** Why a user should look at this VM; undefined if there is no reason. */
export function vmProblem(vm: Vm): string | undefined {
  if (vm.unreachable_since !== undefined) return "It does not respond: this is its last known state.";
  if (vm.state === "PAUSED" && vm.reason && vm.reason.cause !== "asked") return vm.reason.message;
  if (vm.state === "STOPPED" && vm.wanted === "RUNNING" && vm.reason) return `Should be running: ${vm.reason.message}`;
  if (vm.state === "STOPPED" && vm.reason && ["killed", "internal-error", "host-signal"].includes(vm.reason.cause))
    return vm.reason.message;
  return undefined;
}
