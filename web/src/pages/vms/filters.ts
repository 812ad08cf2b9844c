/** Which VMs are shown, as the address of the page tells it. */
import type { Group, Vm } from "@/api/live";
import type { State } from "@/api/schema";

/** What can be chosen: a state, being on the way to one, needing somebody's attention, or having much to do. */
export const FACETS = ["running", "paused", "stopped", "changing", "trouble", "busy"] as const;
export type Facet = (typeof FACETS)[number];

export const FACET_WORDS: Record<Facet, string> = {
  running: "Running",
  paused: "Paused",
  stopped: "Stopped",
  changing: "Changing",
  trouble: "Needs attention",
  busy: "Busy: 80% CPU or more",
};

export interface Filters {
  facets: Facet[];
  /** With all groups below it; absent: all. */
  gid?: number;
  /** The id of one; absent: all. */
  host?: number;
}

const number = (text: string | null): number | undefined =>
  text !== null && /^\d+$/.test(text) ? Number(text) : undefined;

export function readFilters(params: URLSearchParams): Filters {
  const words = (params.get("state") ?? "").toLowerCase().split(",");
  return {
    facets: FACETS.filter((one) => words.includes(one)),
    gid: number(params.get("group")),
    host: number(params.get("host")),
  };
}

/** The address with other filters; what else stands in it stays. */
export function writeFilters(params: URLSearchParams, { facets, gid, host }: Filters): void {
  if (facets.length > 0) params.set("state", facets.join(","));
  else params.delete("state");
  if (gid !== undefined) params.set("group", String(gid));
  else params.delete("group");
  if (host !== undefined) params.set("host", String(host));
  else params.delete("host");
}

const SETTLED: Partial<Record<State, Facet>> = { RUNNING: "running", PAUSED: "paused", STOPPED: "stopped" };

export const facetOf = (vm: Pick<Vm, "state">): Facet => SETTLED[vm.state] ?? "changing";

/** Those that are no state; whether a VM is so. */
export type Matches<T> = Record<"trouble" | "busy", (vm: T) => boolean>;

export function fits<T extends Pick<Vm, "gid" | "state">>(
  vm: T,
  facets: readonly Facet[],
  within: ReadonlySet<number> | undefined,
  matches: Matches<T>,
): boolean {
  if (within && !within.has(vm.gid)) return false;
  const state = facetOf(vm);
  return (
    facets.length === 0 || facets.some((one) => (one in matches ? matches[one as keyof Matches<T>](vm) : one === state))
  );
}

/** By their parents; the root group is its own, and nobody's child. */
function childrenOf<T extends Pick<Group, "gid" | "parent_gid">>(groups: readonly T[]): Map<number, T[]> {
  const children = new Map<number, T[]>();
  for (const one of groups) {
    if (one.gid === one.parent_gid) continue;
    const siblings = children.get(one.parent_gid);
    if (siblings) siblings.push(one);
    else children.set(one.parent_gid, [one]);
  }
  return children;
}

/** A group and all groups below it. */
export function subtree(groups: readonly Pick<Group, "gid" | "parent_gid">[], gid: number): Set<number> {
  const children = childrenOf(groups);
  const found = new Set<number>();
  const left = [gid];
  for (let at = left.pop(); at !== undefined; at = left.pop()) {
    if (found.has(at)) continue;
    found.add(at);
    for (const child of children.get(at) ?? []) left.push(child.gid);
  }
  return found;
}

export interface Branch {
  gid: number;
  name: string;
  depth: number;
}

/** The groups as a tree, each parent before its children, those by name; one whose parent is not seen stands on top. */
export function tree(groups: readonly Pick<Group, "gid" | "parent_gid" | "name">[]): Branch[] {
  const known = new Set(groups.map((one) => one.gid));
  const isTop = (one: Pick<Group, "gid" | "parent_gid">) => one.gid === one.parent_gid || !known.has(one.parent_gid);
  const sorted = groups.toSorted((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const children = childrenOf(sorted);
  const found: Branch[] = [];
  const add = (one: Pick<Group, "gid" | "name">, depth: number) => {
    found.push({ gid: one.gid, name: one.name, depth });
    for (const child of children.get(one.gid) ?? []) add(child, depth + 1);
  };
  for (const one of sorted.filter(isTop)) add(one, 0);
  return found;
}

/** How many VMs each has, with all groups below it: as each parent stands before its children, from the end. */
export function withCounts(branches: readonly Branch[], vms: readonly { gid: number }[]): (Branch & { vms: number })[] {
  const own = new Map<number, number>();
  for (const vm of vms) own.set(vm.gid, (own.get(vm.gid) ?? 0) + 1);
  const counted: (Branch & { vms: number })[] = [];
  /** By depth: those whose parent is not there yet. */
  const below: number[] = [];
  for (const one of branches.toReversed()) {
    const sum = (own.get(one.gid) ?? 0) + (below[one.depth + 1] ?? 0);
    below[one.depth + 1] = 0;
    below[one.depth] = (below[one.depth] ?? 0) + sum;
    counted.push({ ...one, vms: sum });
  }
  return counted.reverse();
}
