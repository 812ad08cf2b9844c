import type { Nic } from "@/api/schema";

export const nicText = (nic: Nic): string =>
  nic.type === "BRIDGE" ? `bridge on host NIC ${nic.host}${nic.trusted ? ", trusted" : ""}` : nic.type;
