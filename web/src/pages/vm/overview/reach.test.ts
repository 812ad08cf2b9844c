import { expect, it } from "vitest";
import type { Forward, KnownAddress } from "@/api/schema";
import { leadsWords, notReached, reachOf } from "./reach";

const MAC = "52:54:00:12:34:56";
const of = (
  nics: Parameters<typeof reachOf>[0]["nics"],
  ...interfaces: Parameters<typeof reachOf>[0]["interfaces"]
) => ({
  nics,
  interfaces,
  forwards: [],
});
const BRIDGED = of([{ type: "BRIDGE", host: 1, trusted: true }], { id: 3, mac: MAC });
const KNOWN: KnownAddress[] = [
  { address: "10.1.2.3", source: "lease" },
  { address: "192.0.2.7", source: "agent" },
];
const NAT = of([{ type: "NAT" }], { id: 1, mac: MAC, nat: "BRIDGE", addresses: ["10.1.2.3"], known_addresses: KNOWN });
const USER = of([{ type: "NAT" }], { id: 1, mac: MAC, nat: "USER" });

it("each NIC has its address and its MAC address", () => {
  expect(reachOf(NAT)).toEqual([{ id: 1, what: "NAT", mac: MAC, addresses: KNOWN }]);
  expect(reachOf(BRIDGED)).toEqual([{ id: 3, what: "Bridge on host NIC 1, trusted", mac: MAC, addresses: [] }]);
  expect(reachOf(USER)[0]?.what).toBe("NAT (user mode)");
});

it("a guest that the LAN does not reach says so", () => {
  expect(notReached(BRIDGED)).toBeUndefined();
  expect(notReached(NAT)).toMatch(/not reachable from the LAN/);
  expect(notReached(USER)).toMatch(/outgoing connections only/);
  expect(notReached(of([]))).toMatch(/^No NIC/);
  const forwards: Forward[] = [{ host_port: 2222, guest_port: 22, protocol: "tcp" }];
  expect(notReached({ ...NAT, forwards })).toBeUndefined();
  expect(forwards.map(leadsWords)).toEqual(["Host port 2222 to guest port 22"]);
  expect(notReached(of([...NAT.nics, ...BRIDGED.nics], ...NAT.interfaces, ...BRIDGED.interfaces))).toBeUndefined();
});
