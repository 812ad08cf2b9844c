/** How a VM is reached by its NICs, in words. */
import type { Forward, Interface, KnownAddress, Nic, VmInfo } from "@/api/schema";

export interface Reach {
  /** The NIC's id. */
  id: number;
  what: string;
  mac: string;
  addresses: KnownAddress[];
}

/** Who tells an address, in words. */
export const SOURCES: Record<KnownAddress["source"], string> = {
  lease: "reserved",
  neighbour: "seen on the network",
  agent: "from the guest agent",
};

export const reachOf = ({ nics, interfaces }: Pick<VmInfo, "nics" | "interfaces">): Reach[] =>
  nics.map((nic, index) => {
    const one = interfaces[index];
    return {
      id: one?.id ?? index,
      what: whatOf(nic, one),
      mac: one?.mac ?? "",
      addresses: one?.known_addresses ?? [],
    };
  });

function whatOf(nic: Nic, one: Interface | undefined): string {
  if (nic.type === "BRIDGE") return `Bridge on host NIC ${nic.host}${nic.trusted ? ", trusted" : ""}`;
  return one?.nat === "USER" ? "NAT (user mode)" : "NAT";
}

/** A port forward. */
export const leadsWords = ({ host_address, host_port, guest_port, protocol }: Forward): string =>
  `${host_address ?? "Host"} port ${host_port} to guest port ${guest_port}${protocol === "udp" ? ", UDP" : ""}`;

/** What a person finds out too late otherwise: that a guest behind NAT cannot be called from outside. */
export function notReached({
  nics,
  interfaces,
  forwards,
}: Pick<VmInfo, "nics" | "interfaces" | "forwards">): string | undefined {
  if (forwards.length > 0) return undefined;
  if (nics.length === 0) return "No NIC: the guest has no network.";
  if (nics.some((nic) => nic.type === "BRIDGE")) return undefined;
  return interfaces.some((one) => one.nat === "BRIDGE")
    ? "Behind NAT: not reachable from the LAN, only from this host and its VMs."
    : "Behind NAT: outgoing connections only.";
}
