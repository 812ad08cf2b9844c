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
      ["create_vm", "Create virtual machines"],
      ["list_vms", "See the virtual machines"],
      ["create_medium", "Create media"],
      ["upload_medium", "Upload media"],
      ["list_media", "See and attach media"],
      ["show_group", "See the group and its members"],
      ["create_group", "Create subgroups"],
      ["delete_group", "Delete the group"],
      ["set_quota", "Set the quota"],
      ["list_pools", "See the pools"],
      ["assign_pool", "Assign pools"],
      ["revoke_pool", "Take pools away"],
      ["grant_permission", "Give permissions"],
      ["revoke_permission", "Take permissions away"],
    ),
  },
  {
    title: "With a virtual machine",
    operations: on(
      "vm",
      ["show_vm", "See the VM"],
      ["set_vm_state", "Start, stop, pause and resume"],
      ["restart_vm", "Restart"],
      ["reset_vm", "Reset"],
      ["open_console", "Use the consoles"],
      ["show_screen", "See the screen"],
      ["alter_vm", "Change the settings"],
      ["delete_vm", "Delete the VM"],
    ),
  },
  {
    title: "With a user",
    operations: on(
      "user",
      ["show_user", "See the permissions"],
      ["change_user", "Set the password"],
      ["remove_user", "Remove the user"],
    ),
  },
  {
    title: "Anywhere",
    operations: on(
      "nothing",
      ["create_user", "Create users"],
      ["list_users", "List all users"],
      ["list_nics", "List the host's NICs"],
      ["show_host", "See the load of the host"],
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
