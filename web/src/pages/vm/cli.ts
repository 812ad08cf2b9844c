/** The command line for a VM: its name, and its group where that is not the root. */
import type { Vm } from "@/api/live";

export function vmCli(vm: Pick<Vm, "name" | "gid">, verb: string, ...options: string[]): string[] {
  return ["velocity", "vm", verb, vm.name, ...options, ...(vm.gid === 0 ? [] : ["--group", String(vm.gid)])];
}
