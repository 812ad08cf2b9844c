import type { Interface, Nic, VmInfo } from "@/api/schema";

/** `interfaces` are those that the VM has: a NIC that is none of them is new. */
export function nicText(nic: Nic, interfaces: readonly Interface[]): string {
  const what = nic.type === "BRIDGE" ? `bridge on host NIC ${nic.host}${nic.trusted ? ", trusted" : ""}` : nic.type;
  const mac = nic.mac ?? interfaces.find((one) => one.id === nic.id)?.mac;
  const boot = nic.boot ? `, boots as ${nic.boot}` : "";
  return `${what}${boot}${nic.link === "down" ? ", unplugged" : ""} (${mac?.toLowerCase() ?? "new"})`;
}

/** A VM's NICs with their ids, so that each stays itself wherever it stands in a list that is sent. */
export const nicsOf = ({ nics, interfaces }: Pick<VmInfo, "nics" | "interfaces">): Nic[] =>
  nics.map((nic, index) => ({ ...nic, id: interfaces[index]?.id }));
