/** What of a VM is done in a dialog, and for whom: its menu has it, and the palette, which leads there by `?do=`. */
import type { May, Vm } from "@/api/live";
import type { IconName } from "@/look/Icon";

export type VmDialog = "restart" | "reset" | "boot" | "rename" | "clone" | "move" | "host" | "delete";

/** As one looks for it. */
export const WORDS: Record<VmDialog, string> = {
  restart: "restart",
  reset: "reset",
  boot: "boot once",
  rename: "rename",
  clone: "clone",
  move: "move",
  host: "migrate",
  delete: "delete",
};

/** What people of other tools look for: it leads to what does it here. */
export const ALSO: Partial<Record<VmDialog, string>> = {
  restart: "reboot",
  boot: "next start boot menu firmware bios pxe",
  clone: "copy duplicate template snapshot backup",
  host: "live migration",
  delete: "remove destroy",
};

/** What it does, for who has looked for something else. */
export const ABOUT: Partial<Record<VmDialog, string>> = { clone: "a full copy (there are no snapshots)" };

export const ICONS: Record<VmDialog, IconName> = {
  restart: "refresh",
  reset: "refresh",
  boot: "play",
  rename: "text",
  clone: "copy",
  move: "groups",
  host: "host",
  delete: "trash",
};

export function dialogsOf(vm: Vm, may: May): VmDialog[] {
  const mayState = may("vm.state", vm.gid);
  const mayRemove = may("vm.remove", vm.gid);
  // Where there is one host, only who could add another one is told of it.
  const many = vm.host !== undefined || may("node.manage", 0);
  const found: Record<VmDialog, boolean> = {
    restart: mayState && vm.state !== "STOPPED" && !vm.restarting,
    reset: mayState && (vm.state === "RUNNING" || vm.state === "PAUSED"),
    boot: mayState,
    rename: may("vm.alter", vm.gid),
    clone: may("vm.create", vm.gid),
    move: mayRemove,
    host: many && vm.moving === undefined && may("vm.alter", vm.gid),
    delete: mayRemove,
  };
  return (Object.keys(found) as VmDialog[]).filter((one) => found[one]);
}
