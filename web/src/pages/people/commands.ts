/** Users and groups as the command line takes them: by name where that can be read as nothing else. */

import type { Assigned, PoolInfo } from "@/api/schema";
import { idWord, MISREAD } from "@/ui/vmCli";

export const userWord = (name: string, uid: number): string => (MISREAD.test(name) ? idWord(uid) : name);
export const groupWord = (path: string, gid: number): string =>
  gid === 0 ? "/" : MISREAD.test(path) ? idWord(gid) : path;
/** A new name stands last, so that one with a dash before it is no option. */
export const newName = (name: string): string[] => (name.startsWith("-") ? ["--", name] : [name]);

/** A size that the command line reads as exactly that. */
export function sizeWord(bytes: number): string {
  for (const [power, unit] of [
    [4, "T"],
    [3, "G"],
    [2, "M"],
    [1, "K"],
  ] as const)
    if (bytes > 0 && bytes % 1024 ** power === 0) return `${bytes / 1024 ** power}${unit}`;
  return String(bytes);
}

/** `parent` is the path of the group above; the root group is the command line's own choice. */
export const newGroupLine = (name: string, parent: string, parentGid: number): string[] => [
  ...["velocity", "group", "create"],
  ...(parentGid === 0 ? [] : ["--parent", groupWord(parent, parentGid)]),
  ...newName(name || "NAME"),
];

/** The password is never in a line that a shell would remember. */
export const newUserLine = (name: string, home?: string): string[] => [
  ...["velocity", "user", "create"],
  ...(home === undefined ? [] : ["--group", home]),
  ...newName(name || "NAME"),
];

/** What a group may do by what is assigned to it; of a pool that it only inherits, with no quota of its own. */
export const ownOf = (pool: PoolInfo | undefined): Assigned =>
  pool?.assigned ?? { quota: 0, write: pool?.write ?? false, manage: pool?.manage ?? false };

/** What is not named stays as it is `now`. */
export const assignLine = (
  mpid: number,
  group: string,
  share: Assigned,
  now: Assigned = ownOf(undefined),
): string[] => [
  ...["velocity", "pool", "assign", idWord(mpid), group],
  ...(share.quota === now.quota ? [] : ["--quota", share.quota > 0 ? sizeWord(share.quota) : "none"]),
  ...(share.write === now.write ? [] : [share.write ? "--write" : "--no-write"]),
  ...(share.manage === now.manage ? [] : [share.manage ? "--manage" : "--no-manage"]),
];
