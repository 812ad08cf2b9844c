/** The command line for a VM: its name, and its group where that is not the root. */
import type { Vm } from "@/api/live";

export function vmCli(vm: Pick<Vm, "name" | "gid">, verb: string, ...options: string[]): string[] {
  return ["velocity", "vm", verb, vm.name, ...options, ...vmGroup(vm)];
}

/** Nothing for the root group, but for a name of digits: that would be an id where no group is named. */
export const vmGroup = ({ name, gid }: Pick<Vm, "name" | "gid">, path = String(gid)): string[] =>
  gid === 0 && !/^\d+$/.test(name) ? [] : ["--group", path];
