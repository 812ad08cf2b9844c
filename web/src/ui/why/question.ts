/** What can be asked: who, may do which operation, on what; and what would be if permissions were given or taken. */
import type { Body } from "@/api/call";
import type { Supposed } from "@/api/schema";
import { idWord } from "../vmCli";

export interface Question {
  operation?: string;
  /** Absent: the caller. */
  uid?: number;
  gid?: number;
  vmid?: number;
  /** The user that it would be done to. */
  member?: number;
}

export interface Suppositions {
  granted: Supposed[];
  revoked: Supposed[];
}

export type Target = "group" | "vm" | "user" | "nothing";

export interface Operation {
  name: string;
  title: string;
  on: Target;
}

const on = (target: Target, ...all: [string, string][]): Operation[] =>
  all.map(([name, title]) => ({ name, title, on: target }));

export const OPERATIONS: readonly { title: string; operations: readonly Operation[] }[] = [
  {
    title: "In a group",
    operations: on(
      "group",
      ["create_vm", "create virtual machines in"],
      ["list_vms", "see the virtual machines of"],
      ["create_medium", "create media in"],
      ["upload_medium", "upload media to"],
      ["list_media", "see and attach the media of"],
      ["show_group", "see the group and its members"],
      ["create_group", "create subgroups in"],
      ["delete_group", "delete the group"],
      ["set_quota", "set the quota of"],
      ["list_pools", "see the pools of"],
      ["assign_pool", "assign pools to"],
      ["revoke_pool", "take pools away from"],
      ["grant_permission", "give permissions on"],
      ["revoke_permission", "take permissions away on"],
    ),
  },
  {
    title: "With a virtual machine",
    operations: on(
      "vm",
      ["show_vm", "see the VM"],
      ["set_vm_state", "start, stop, pause and resume"],
      ["restart_vm", "restart"],
      ["reset_vm", "reset"],
      ["open_console", "use the consoles of"],
      ["show_screen", "see the screen of"],
      ["alter_vm", "change the settings of"],
      ["delete_vm", "delete the VM"],
    ),
  },
  {
    title: "With a user",
    operations: on(
      "user",
      ["show_user", "see the permissions of"],
      ["change_user", "set the password of"],
      ["remove_user", "remove the user"],
    ),
  },
  {
    title: "Anywhere",
    operations: on(
      "nothing",
      ["create_user", "create users"],
      ["list_users", "list all users"],
      ["list_nics", "list the host's NICs"],
      ["show_host", "see the load of the host"],
    ),
  },
];

export const operationOf = (name: string | undefined): Operation | undefined =>
  OPERATIONS.flatMap((area) => area.operations).find((one) => one.name === name);

/** The request, once nothing is missing. */
export function bodyOf(question: Question, { granted, revoked }: Suppositions): Body<"/u/why", "post"> | undefined {
  const { operation, uid, gid, vmid, member } = question;
  const target = operationOf(operation)?.on;
  if (operation === undefined || target === undefined) return undefined;
  const needed = { group: gid, vm: vmid, user: member, nothing: 0 }[target];
  if (needed === undefined) return undefined;
  return {
    operation,
    ...(uid === undefined ? {} : { uid }),
    ...(target === "group" ? { gid } : target === "vm" ? { vmid } : target === "user" ? { member } : {}),
    ...(granted.length > 0 ? { granted } : {}),
    ...(revoked.length > 0 ? { revoked } : {}),
  };
}

/** The same as a command line. */
export function whyLine(
  question: Question,
  { granted, revoked }: Suppositions,
  word: { user: (uid: number) => string; group: (gid: number) => string },
): string[] {
  const { operation, uid, gid, vmid, member } = question;
  const target = operationOf(operation)?.on;
  const supposed = (option: string, all: readonly Supposed[]) =>
    all.flatMap((one) => [option, `${word.group(one.gid)}:${one.permission.replace(/^velocity\./, "")}`]);
  return [
    ...["velocity", "why", operation ?? "OPERATION"],
    ...(uid === undefined ? [] : ["--user", word.user(uid)]),
    ...(target === "group" && gid !== undefined ? ["--group", word.group(gid)] : []),
    ...(target === "vm" && vmid !== undefined ? ["--vm", idWord(vmid)] : []),
    ...(target === "user" && member !== undefined ? ["--to", word.user(member)] : []),
    ...supposed("--if-granted", granted),
    ...supposed("--if-revoked", revoked),
  ];
}
