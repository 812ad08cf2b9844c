/** On which hosts things are: nothing is said of it where there is only one. */
import type { HostRef } from "@/api/schema";

/** Whether a pool is on the host of that id; empty: on any. A shared one is on several; with one host nothing says where. */
export function isOn(pool: { host?: HostRef; hosts?: readonly HostRef[] } | undefined, host: string): boolean {
  const on = pool?.hosts ?? (pool?.host ? [pool.host] : undefined);
  return host === "" || on === undefined || on.some((one) => String(one.id) === host);
}

/** Each host of these once, by name. */
export function hostsOf(things: readonly { host?: HostRef }[]): HostRef[] {
  const found = new Map<number, HostRef>();
  for (const { host } of things) if (host) found.set(host.id, host);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}
