/** The command line for a VM: its name, and its group where that is not the root. */
import type { Vm } from "@/api/live";

/** Names that the command line would take for an id or an option; "user 3" and "group 3" are no names, but stand for one. */
export const MISREAD = /^(-|id:|\d+$|(group|user) \d+$)/;

/** An id, whatever names there are. */
export const idWord = (id: number | string): string => `id:${id}`;

interface Named extends Pick<Vm, "name" | "gid" | "vmid"> {
  /** Of its group, where that is known: `team/web`. */
  path?: string;
}

export function vmCli(vm: Named, verb: string, ...options: string[]): string[] {
  return ["velocity", "vm", verb, ...vmWords(vm, options)];
}

/** The VM, with what the verb is given, and its group; an id needs none. */
export const vmWords = (vm: Named, options: readonly string[]): string[] =>
  MISREAD.test(vm.name) ? [idWord(vm.vmid), ...options] : [vm.name, ...options, ...groupOption(vm.gid, vm.path)];

/** The same where nothing may stand behind it that is not another program's: the group comes first. */
export const vmFirst = (vm: Named): string[] =>
  MISREAD.test(vm.name) ? [idWord(vm.vmid)] : [...groupOption(vm.gid, vm.path), vm.name];

/** `--group team/web`; nothing for the root group, which is the command line's own choice. */
export const groupOption = (gid: number, path = idWord(gid)): string[] =>
  gid === 0 ? [] : ["--group", MISREAD.test(path) ? idWord(gid) : path];

/** Names of groups from below the root as one path, as the command line writes it: a slash in a name is no step of it. */
export const groupPath = (names: readonly string[]): string => names.map(escaped).join("/");

const escaped = (name: string): string =>
  name.includes("/") || name.endsWith("\\") ? name.replaceAll("\\", "\\\\").replaceAll("/", "\\/") : name;
