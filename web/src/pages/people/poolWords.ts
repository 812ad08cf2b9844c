/** Where a pool is, in words. */
import type { PoolInfo } from "@/api/schema";

/** Empty: there is only one host. */
export function whereWords({ host, hosts }: Pick<PoolInfo, "host" | "hosts">): string {
  if (hosts === undefined) return host === undefined ? "" : `on ${host.name}`;
  if (hosts.length === 0) return "shared; no host has it at present";
  return `shared by ${hosts.map((one) => one.name).join(", ")}`;
}
