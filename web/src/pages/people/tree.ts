/** The groups as a tree, the line from one to the root, what lies below, and what fits a search. */
import type { Group } from "@/api/live";

type Node = Pick<Group, "gid" | "parent_gid" | "name">;

export interface Branch<T extends Node = Node> {
  group: T;
  below: Branch<T>[];
}

const byName = (a: Node, b: Node) => a.name.localeCompare(b.name, undefined, { numeric: true });

/** A group whose parent is not seen stands at the top. */
export function branches<T extends Node>(groups: readonly T[]): Branch<T>[] {
  const known = new Set(groups.map((one) => one.gid));
  const under = new Map<number, T[]>();
  const tops: T[] = [];
  for (const one of groups) {
    if (one.gid === one.parent_gid || !known.has(one.parent_gid)) tops.push(one);
    else under.set(one.parent_gid, [...(under.get(one.parent_gid) ?? []), one]);
  }
  const branch = (group: T): Branch<T> => ({
    group,
    below: (under.get(group.gid) ?? []).sort(byName).map(branch),
  });
  return tops.sort(byName).map(branch);
}

/** Those whose name has every word, and what leads to them. */
export function fitting<T extends Node>(tree: readonly Branch<T>[], search: string): Branch<T>[] {
  const wanted = search.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return [...tree];
  return tree.flatMap((branch) => {
    const below = fitting(branch.below, search);
    const name = branch.group.name.toLowerCase();
    return below.length > 0 || wanted.every((word) => name.includes(word)) ? [{ group: branch.group, below }] : [];
  });
}

/** The group itself, then each above it, as far as they are seen. */
export function lineOf<T extends Node>(groups: readonly T[], gid: number): T[] {
  const by = new Map(groups.map((one) => [one.gid, one]));
  const line: T[] = [];
  let at = by.get(gid);
  while (at && !line.includes(at)) {
    line.push(at);
    at = by.get(at.parent_gid);
  }
  return line;
}

/** The group itself and all below it. */
export function within(groups: readonly Node[], gid: number): Set<number> {
  const found = new Set<number>();
  const look = (all: readonly Branch[], inside: boolean) => {
    for (const { group, below } of all) {
      const here = inside || group.gid === gid;
      if (here) found.add(group.gid);
      look(below, here);
    }
  };
  look(branches(groups), false);
  return found;
}
