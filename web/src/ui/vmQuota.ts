/** Whether a quota leaves room for another VM. */
import type { QuotaInfo } from "@/api/schema";

/** Why the group can have no other VM, and what helps; undefined: it can. */
export function fullWords(group: string, { limits, usage, left }: QuotaInfo): string | undefined {
  if (left.vms === undefined || left.vms > 0) return undefined;
  const own = limits.vms !== undefined && usage.vms >= limits.vms;
  return own
    ? `There are already ${usage.vms} of ${limits.vms} VMs in ${group}: delete one, or ask for a higher quota.`
    : `The quota of a group above ${group} allows no other VM: delete one, or ask for a higher quota.`;
}
