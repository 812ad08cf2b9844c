/** Which hosts the dashboard shows. */
import type { HostSummary } from "@/api/schema";

/** Of more hosts, those that something is wrong with are shown, then the fullest. */
export const MOST = 12;

/** The share of its memory that was given to VMs. */
export const given = (one: HostSummary) => one.memory_given_mib / Math.max(1, one.memory_mib);

const rank = (one: HostSummary) => (one.unreachable_since !== undefined ? 2 : one.duty !== "active" ? 1 : 0);

export function fewHosts(hosts: readonly HostSummary[]): readonly HostSummary[] {
  if (hosts.length <= MOST) return hosts;
  return [...hosts].sort((a, b) => rank(b) - rank(a) || given(b) - given(a) || a.id - b.id).slice(0, MOST);
}
