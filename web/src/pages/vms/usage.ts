/** What the VMs that run take. */
import type { Vm } from "@/api/live";
import type { VmsUsage } from "@/api/schema";

/** From here on, in percent of all CPUs of a VM, it is busy. */
const BUSY = 80;

export interface Usage {
  /** Percent of one core; absent: not known yet. */
  cpu: number | null;
  memory_mib: number;
  /** Unix seconds. */
  since: number;
}
export type Usages = ReadonlyMap<number, Usage>;

export const usagesOf = ({ vmids, cpu, memory_mib, running_since }: VmsUsage): Usages =>
  new Map(
    vmids.map((vmid, at) => [
      vmid,
      { cpu: cpu[at] ?? null, memory_mib: memory_mib[at] ?? 0, since: running_since[at] ?? 0 },
    ]),
  );

/** Percent of all CPUs that it has; absent: it does not run, or is not measured yet. */
export function cpuOf(vm: Pick<Vm, "vmid" | "cpus">, usages: Usages): number | undefined {
  const cpu = usages.get(vm.vmid)?.cpu ?? undefined;
  return cpu === undefined ? undefined : cpu / vm.cpus;
}

export const isBusy = (vm: Pick<Vm, "vmid" | "cpus">, usages: Usages): boolean => (cpuOf(vm, usages) ?? 0) >= BUSY;
