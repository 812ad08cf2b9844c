/** Ports of the host that lead to a VM, as people and the command line write them. */
import type { Forward } from "@/api/schema";

/** 2222:22, 127.0.0.1:2222:22, 5353:53/udp */
export function forwardText({ host_address, host_port, guest_port, protocol }: Forward): string {
  const address = host_address ? `${host_address}:` : "";
  return `${address}${host_port}:${guest_port}${protocol === "udp" ? "/udp" : ""}`;
}
