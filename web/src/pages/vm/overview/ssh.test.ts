import { expect, test } from "vitest";
import type { Interface, VmInfo } from "@/api/schema";
import { sshCommand } from "./ssh";

type Info = Parameters<typeof sshCommand>[0];

const nic = (
  nat: Interface["nat"],
  address?: string,
  source: "lease" | "neighbour" | "agent" = "neighbour",
): Interface => ({
  id: 1,
  mac: "52:54:00:00:00:01",
  nat,
  known_addresses: address === undefined ? [] : [{ address, source }],
});
const forward = { host_port: 2222, guest_port: 22, protocol: "tcp" } as VmInfo["forwards"][number];
const of = (more: Partial<Info>): Info => ({
  nics: [{ type: "NAT" }] as VmInfo["nics"],
  interfaces: [nic("BRIDGE", "192.168.127.5")],
  forwards: [],
  cloud_init: { user: "ann", secrets: [] },
  waiting: [],
  ...more,
});

test("an address of NAT leads there from the host alone", () => {
  expect(sshCommand(of({}), "localhost")).toBe("ssh ann@192.168.127.5");
  expect(sshCommand(of({}), "velocity.example.org")).toBeUndefined();
});

test("an address that is only reserved is not offered", () => {
  expect(sshCommand(of({ interfaces: [nic("BRIDGE", "192.168.127.5", "lease")] }), "localhost")).toBeUndefined();
});

test("a forward comes before the guest's own address", () => {
  expect(sshCommand(of({ forwards: [forward] }), "localhost")).toBe("ssh -p 2222 ann@localhost");
});

test("one of a bridge leads there from everywhere", () => {
  const info = of({ nics: [{ type: "BRIDGE", host: 1 }] as VmInfo["nics"], interfaces: [nic(undefined, "10.1.2.3")] });
  expect(sshCommand(info, "velocity.example.org")).toBe("ssh ann@10.1.2.3");
});

test("a port of the host does, unless it waits, or is the host's own", () => {
  const info = of({ forwards: [forward] });
  expect(sshCommand(info, "velocity.example.org")).toBe("ssh -p 2222 ann@velocity.example.org");
  expect(sshCommand({ ...info, waiting: ["forwards"] }, "velocity.example.org")).toBeUndefined();
  expect(
    sshCommand(of({ forwards: [{ ...forward, host_address: "127.0.0.1" }] }), "velocity.example.org"),
  ).toBeUndefined();
  expect(sshCommand(of({ forwards: [{ ...forward, host_address: "192.0.2.7" }] }), "10.0.0.1")).toBe(
    "ssh -p 2222 ann@192.0.2.7",
  );
});

test("whom to log in as is known by cloud-init alone", () => {
  expect(sshCommand(of({ cloud_init: { secrets: [] } }), "localhost")).toBeUndefined();
  expect(sshCommand(of({ cloud_init: { secrets: [] }, forwards: [forward] }), "localhost")).toBe(
    "ssh -p 2222 localhost",
  );
});
