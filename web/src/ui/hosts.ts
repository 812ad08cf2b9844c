/** The hosts of things, shown only if there are several. */
import type { HostRef } from "@/api/schema";

/** Whether a pool is on the host with that id; empty: on any. Shared pools are on several; a single host is unnamed. */
export function isOn(pool: { host?: HostRef; hosts?: readonly HostRef[] } | undefined, host: string): boolean {
  const on = pool?.hosts ?? (pool?.host ? [pool.host] : undefined);
  return host === "" || on === undefined || on.some((one) => String(one.id) === host);
}

/** Each of these hosts once, by name. */
export function hostsOf(things: readonly { host?: HostRef }[]): HostRef[] {
  const found = new Map<number, HostRef>();
  for (const { host } of things) if (host) found.set(host.id, host);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}
