/** The command line for a VM: its name, and its group unless that is the root. */
import type { Vm } from "@/api/live";

/** Names that the command line would take for ids or options; "user 3" and "group 3" replace unknown names. */
export const MISREAD = /^(-|id:|\d+$|(group|user) \d+$)/;

/** An id, whatever names exist. */
export const idWord = (id: number | string): string => `id:${id}`;

interface Named extends Pick<Vm, "name" | "gid" | "vmid"> {
  /** The path of its group, if known: `team/web`. */
  path?: string;
}

export function vmCli(vm: Named, verb: string, ...options: string[]): string[] {
  return ["velocity", "vm", verb, ...vmWords(vm, options)];
}

/** The VM with the verb's arguments, and its group; an id needs none. */
export const vmWords = (vm: Named, options: readonly string[]): string[] =>
  MISREAD.test(vm.name) ? [idWord(vm.vmid), ...options] : [vm.name, ...options, ...groupOption(vm.gid, vm.path)];

/** The same for verbs followed by another program's arguments: the group comes first. */
export const vmFirst = (vm: Named): string[] =>
  MISREAD.test(vm.name) ? [idWord(vm.vmid)] : [...groupOption(vm.gid, vm.path), vm.name];

/** `--group team/web`; nothing for the root group, which is the default. */
export const groupOption = (gid: number, path = idWord(gid)): string[] =>
  gid === 0 ? [] : ["--group", MISREAD.test(path) ? idWord(gid) : path];

/** Names of groups below the root as a path, as the command line writes it, with slashes in names escaped. */
export const groupPath = (names: readonly string[]): string => names.map(escaped).join("/");

const escaped = (name: string): string =>
  name.includes("/") || name.endsWith("\\") ? name.replaceAll("\\", "\\\\").replaceAll("/", "\\/") : name;
