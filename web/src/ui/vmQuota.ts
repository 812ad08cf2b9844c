/** What a quota leaves room for; and where it does not, whose it is, what is left, what is needed, and whom to ask. */
import type { PoolInfo, QuotaInfo } from "@/api/schema";
import { bytes, count, mib } from "./format";
import { ROOT_GROUP, ROOT_NAME } from "./texts/words";

/** The group that it is about, and whom to ask for more, as a sentence or "". */
export interface Whose {
  path: string;
  ask: string;
}

export type GroupQuota = Whose & Pick<QuotaInfo, "limits" | "usage" | "left">;
type Counted = "cpus" | "memory_mib";

const AMOUNTS: Record<Counted, (amount: number) => string> = {
  cpus: (amount) => count(amount, "CPU"),
  memory_mib: mib,
};

/** Why so much, or so much `more` than a VM has, is too much. */
export function quotaProblem(
  name: Counted,
  wanted: number,
  quota: GroupQuota | undefined,
  more = false,
): string | undefined {
  const left = quota?.left[name];
  if (!quota || left === undefined || wanted <= Math.max(0, left)) return undefined;
  const limit = quota.limits[name];
  const own = limit !== undefined && limit - quota.usage[name] <= left;
  return overWords(quota, own, AMOUNTS[name](Math.max(0, left)), `${AMOUNTS[name](wanted)}${more ? " more" : ""}`);
}

export type PoolQuota = { name: string } & Partial<Pick<PoolInfo, "left" | "used" | "assigned">>;

/** The same of bytes in a pool. */
export function poolQuotaProblem(
  size: number,
  pool: PoolQuota | undefined,
  asking: Whose,
  more = false,
): string | undefined {
  if (pool?.left === undefined || size <= Math.max(0, pool.left)) return undefined;
  const limit = pool.assigned?.quota ?? 0;
  const own = limit > 0 && limit - (pool.used ?? 0) <= pool.left;
  const left = `${bytes(Math.max(0, pool.left))} left in pool ${pool.name}`;
  return overWords(asking, own, left, `${bytes(size)}${more ? " more" : ""}`, "");
}

function overWords({ path, ask }: Whose, own: boolean, left: string, needs: string, word = " left"): string {
  const group = path === ROOT_NAME ? ROOT_GROUP : path;
  return `The quota of ${own ? group : `a group above ${group}`} has ${left}${word}; this needs ${needs}.${ask && ` ${ask}`}`;
}

/** "Quota: 6 CPUs left, 4 CPUs after this." */
export function leftWords(
  left: number | undefined,
  wanted: number | undefined,
  words: (amount: number) => string,
): string | undefined {
  if (left === undefined) return undefined;
  return `Quota: ${words(Math.max(0, left))} left, ${words(Math.max(0, left - (wanted || 0)))} after this.`;
}

/** Why the group can have no other VM, and what helps; undefined: it can. */
export function fullWords(group: string, { limits, usage, left }: QuotaInfo): string | undefined {
  if (left.vms === undefined || left.vms > 0) return undefined;
  const own = limits.vms !== undefined && usage.vms >= limits.vms;
  return own
    ? `There are already ${usage.vms} of ${limits.vms} VMs in ${group}: delete one, or ask for a higher quota.`
    : `The quota of a group above ${group} allows no other VM: delete one, or ask for a higher quota.`;
}
