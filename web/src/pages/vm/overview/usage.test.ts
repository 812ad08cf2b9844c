import { expect, it } from "vitest";
import type { VmMetrics } from "@/api/schema";
import { usesOf } from "./usage";

const METRICS: VmMetrics = {
  vmid: 7,
  interval: 10,
  given_mib: 1024,
  spans: ["hour"],
  at: [100, 110],
  cpu: [null, 50],
  memory_mib: [256, 512],
  disk_read: [null, 1024],
  disk_written: [null, 0],
};

it("says what a VM takes of what it has", () => {
  expect(usesOf(METRICS, 2).map((one) => [one.title, one.now, one.of])).toEqual([
    ["CPU", "25%", "of 2 CPUs"],
    ["Memory", "512 MiB", "for the guest's 1 GiB and QEMU itself"],
    ["Disk", "1 KiB/s", "1 KiB/s read, 0 B/s written"],
  ]);
});

it("the network stands where it is counted", () => {
  const counted = { ...METRICS, net_received: [null, 2048], net_sent: [null, null] };
  expect(usesOf(counted, 1).at(-1)).toMatchObject({ title: "Network", now: "2 KiB/s" });
  expect(usesOf(counted, 1)[0]?.of).toBe("of 1 CPU");
});

it("what is not measured is no nought", () => {
  const none = { ...METRICS, at: [], cpu: [], memory_mib: [], disk_read: [], disk_written: [] };
  expect(usesOf(none, 1).map((one) => one.now)).toEqual(["–", "–", "–"]);
});
