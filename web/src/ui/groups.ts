/** Groups by path, as on the command line: `team/web`; the root group has the same name everywhere. */
import { useMemo } from "react";
import { type Group, useMay, useObjects } from "@/api/live";
import { ROOT_NAME } from "./texts/words";
import { groupPath } from "./vmCli";

export const ROOT = 0;

export const groupTitle = (group: Pick<Group, "gid" | "name">): string => (group.gid === ROOT ? ROOT_NAME : group.name);

export function pathsOf(groups: readonly Group[]): Map<number, string> {
  const by = new Map(groups.map((group) => [group.gid, group]));
  const paths = new Map<number, string>();
  for (const group of groups) {
    const names: string[] = [];
    const seen = new Set<number>();
    let at: Group | undefined = group;
    while (at && at.gid !== ROOT && !seen.has(at.gid)) {
      seen.add(at.gid);
      names.unshift(at.name);
      at = by.get(at.parent_gid);
    }
    paths.set(group.gid, group.gid === ROOT ? ROOT_NAME : groupPath(names));
  }
  return paths;
}

/** The path of a group; its number if the user does not see it or it is gone. */
export function useGroupPath(): (gid: number) => string {
  const groups = useObjects("group");
  return useMemo(() => {
    const paths = pathsOf(groups);
    return (gid) => paths.get(gid) ?? `group ${gid}`;
  }, [groups]);
}

export interface GroupChoice {
  gid: number;
  path: string;
}

/** The groups on which the user holds all of these permissions, by path. */
export function useGroupsWhere(...permissions: string[]): GroupChoice[] {
  const groups = useObjects("group");
  const may = useMay();
  const wanted = permissions.join();
  return useMemo(() => {
    const paths = pathsOf(groups);
    return groups
      .filter((group) => wanted.split(",").every((one) => may(one, group.gid)))
      .map((group) => ({ gid: group.gid, path: paths.get(group.gid) ?? "" }))
      .sort((a, b) => {
        const first = Number(b.gid === ROOT) - Number(a.gid === ROOT);
        return first || a.path.localeCompare(b.path, undefined, { numeric: true });
      });
  }, [groups, may, wanted]);
}
