/** The disks that are deleted with VMs: of their own group, written to, and no ISOs. The server decides. */
import type { Medium, Vm } from "@/api/live";

const isDisk = (one: Medium, vm: Vm): boolean =>
  vm.media.includes(one.mid) && one.gid === vm.gid && !one.readonly && one.type.toUpperCase() !== "ISO";

/** For each VM, the disks that no other VM has, and those that stay because another VM has them too. */
export function ownDisks(
  vms: readonly Vm[],
  media: readonly Medium[],
): { disks: Map<number, Medium[]>; shared: Medium[] } {
  const used = new Set(vms.flatMap((vm) => vm.media));
  const some = media.filter((one) => used.has(one.mid));
  const isShared = (one: Medium) => one.used_by.length > 1;
  return {
    disks: new Map(vms.map((vm) => [vm.vmid, some.filter((one) => isDisk(one, vm) && !isShared(one))])),
    shared: some.filter((one) => isShared(one) && vms.some((vm) => isDisk(one, vm))),
  };
}
