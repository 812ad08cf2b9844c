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
  lease: "from NAT",
  neighbour: "heard by the host",
  agent: "says its guest agent",
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
  return one?.nat === "USER" ? "NAT in QEMU" : "NAT";
}

/** A port of the host that leads to it. */
export const leadsWords = ({ host_address, host_port, guest_port, protocol }: Forward): string =>
  `Port ${host_port}${protocol === "udp" ? " (UDP)" : ""} of ${host_address ?? "the host"} leads to ${guest_port}`;

/** What a person finds out too late otherwise: that a guest behind NAT cannot be called from outside. */
export function notReached({
  nics,
  interfaces,
  forwards,
}: Pick<VmInfo, "nics" | "interfaces" | "forwards">): string | undefined {
  if (forwards.length > 0) return undefined;
  if (nics.length === 0) return "It has no NIC: neither does it reach a network, nor is it reached.";
  if (nics.some((nic) => nic.type === "BRIDGE")) return undefined;
  return interfaces.some((one) => one.nat === "BRIDGE")
    ? "The LAN does not reach it: with NAT alone it answers only this host and what runs on it. A bridged NIC or a port of the host changes that."
    : "Nothing reaches it: with NAT alone it only calls out. A bridged NIC or a port of the host changes that.";
}
