/** On which hosts things are: nothing is said of it where there is only one. */
import type { HostRef } from "@/api/schema";

/** Each host of these once, by name. */
export function hostsOf(things: readonly { host?: HostRef }[]): HostRef[] {
  const found = new Map<number, HostRef>();
  for (const { host } of things) if (host) found.set(host.id, host);
  return [...found.values()].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
}
