/** The command line for a VM: its name, and its group where that is not the root. */
import type { Vm } from "@/api/live";

interface Named extends Pick<Vm, "name" | "gid"> {
  /** Of its group, where that is known: `team/web`. */
  path?: string;
}

export function vmCli(vm: Named, verb: string, ...options: string[]): string[] {
  return ["velocity", "vm", verb, vm.name, ...options, ...vmGroup(vm, vm.path)];
}

/** Nothing for the root group, but for a name of digits: that would be an id where no group is named. */
export const vmGroup = ({ name, gid }: Pick<Vm, "name" | "gid">, path = String(gid)): string[] =>
  gid === 0 && !/^\d+$/.test(name) ? [] : ["--group", path];
