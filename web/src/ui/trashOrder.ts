/** The order in which several things are restored from the trash. */
import type { TrashItem } from "@/api/schema";

/** Groups before what belonged to them, the last deleted first, as it may contain others; media before VMs. */
export function order(items: readonly TrashItem[]): TrashItem[] {
  const rank = { group: 0, medium: 1, vm: 2 };
  return [...items].sort((a, b) => rank[a.kind] - rank[b.kind] || b.deleted - a.deleted);
}
