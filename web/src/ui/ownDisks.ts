/** The disks that go with VMs that are deleted: of its own group, written to, no ISO. The server has the last word. */
import type { Medium, Vm } from "@/api/live";

const isDisk = (one: Medium, vm: Vm): boolean =>
  vm.media.includes(one.mid) && one.gid === vm.gid && !one.readonly && one.type.toUpperCase() !== "ISO";

/** Of each VM; and those that another VM has as well, which keep the disks of theirs from going. */
export function ownDisks(
  vms: readonly Vm[],
  media: readonly Medium[],
): { disks: Map<number, Medium[]>; shared: Medium[] } {
  const used = new Set(vms.flatMap((vm) => vm.media));
  const some = media.filter((one) => used.has(one.mid));
  const shared = some.filter((one) => one.used_by.length > 1 && vms.some((vm) => isDisk(one, vm)));
  const disks = new Map(
    vms.map((vm) => {
      const own = some.filter((one) => isDisk(one, vm));
      return [vm.vmid, own.some((one) => shared.includes(one)) ? [] : own];
    }),
  );
  return { disks, shared };
}
