/** On which hosts things are: nothing is said of it where there is only one. */
import type { HostRef } from "@/api/schema";

/** Whether a pool is on the host of that id; empty: on any. With one host nothing says where it is. */
export const isOn = (pool: { host?: HostRef } | undefined, host: string): boolean =>
  host === "" || pool?.host === undefined || String(pool.host.id) === host;

/** Each host of these once, by name. */
export function hostsOf(things: readonly { host?: HostRef }[]): HostRef[] {
  const found = new Map<number, HostRef>();
  for (const { host } of things) if (host) found.set(host.id, host);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}
