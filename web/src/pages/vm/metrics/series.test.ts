import { expect, it } from "vitest";
import type { VmMetrics } from "@/api/schema";
import { bytes } from "@/ui/format";
import { chartsOf, gaps, marks, rowsOf, summary } from "./series";

const METRICS: VmMetrics = {
  vmid: 7,
  interval: 10,
  given_mib: 1024,
  spans: ["hour"],
  at: [100, 110, 120],
  cpu: [5, null, 15],
  memory_mib: [256, null, 512],
  disk_read: [0, null, 1024],
  disk_written: [0, null, 0],
};

it("there is a network chart only where something is known of it", () => {
  expect(chartsOf(METRICS, 2).map((one) => one.id)).toEqual(["cpu", "memory", "disk"]);
  const bridged = { ...METRICS, net_received: [1, null, 2], net_sent: [3, null, 4] };
  expect(
    chartsOf(bridged, 2)
      .at(-1)
      ?.lines.map((line) => line.values),
  ).toEqual([
    [1, null, 2],
    [3, null, 4],
  ]);
  expect(chartsOf(bridged, 2).at(-1)?.unit).toBe("all NICs together");
  expect(chartsOf(bridged, 2, true).at(-1)?.unit).toBe("all NICs but those with user-mode NAT");
});

it("says what the whole of its CPUs is", () => {
  expect(chartsOf(METRICS, 4)[0]?.unit).toBe("100% is one of its 4 CPUs");
  expect(chartsOf(METRICS, 1)[0]?.unit).toBe("of its CPU");
});

it("says beside what a VM takes what it was given", () => {
  expect(chartsOf(METRICS, 2)[1]?.unit).toBe("taken from the host, for the guest's 1 GiB and QEMU itself");
});

it("gaps stay gaps, and are told", () => {
  expect(chartsOf(METRICS, 2)[1]?.lines[0]?.values).toEqual([256 * 2 ** 20, null, 512 * 2 ** 20]);
  expect(gaps(METRICS)).toBe("10 s");
  expect(gaps({ ...METRICS, cpu: [1, 2, 3], memory_mib: [1, 2, 3] })).toBeUndefined();
  expect(gaps({ ...METRICS, cpu: [null, 2, 3], memory_mib: [1, 2, 3] }), "the first of a run").toBeUndefined();
  expect(gaps({ ...METRICS, running_since: 105 }), "before its start").toBeUndefined();
  expect(gaps({ ...METRICS, running_since: 90 }), "since its start").toBe("10 s");
});

it("a summary counts what was measured", () => {
  const show = (value: number) => String(value);
  expect(summary({ title: "", values: [5, null, 15] }, show)).toBe("10 on average, at most 15");
  expect(summary({ title: "", values: [5, null] }, show)).toBe("not measured now, 5 on average, at most 5");
  expect(summary({ title: "", values: [null] }, show)).toBe("nothing measured");
});

it("the table has the newest, and not too many", () => {
  expect(rowsOf([1, 2, 3], 10)).toEqual([2, 1, 0]);
  const rows = rowsOf(
    Array.from({ length: 360 }, (_, index) => index),
    40,
  );
  expect(rows[0]).toBe(359);
  expect(rows.length).toBeLessThanOrEqual(40);
});

it("an axis has five round marks from zero, whatever it shows", () => {
  expect(marks(95, false)).toEqual([0, 25, 50, 75, 100]);
  expect(marks(100, false)).toEqual([0, 25, 50, 75, 100]);
  expect(marks(101, false)).toEqual([0, 50, 100, 150, 200]);
  expect(marks(2 ** 30, true)).toEqual([0, 0.25, 0.5, 0.75, 1].map((one) => one * 2 ** 30));
  expect(marks(600 * 2 ** 20, true)).toEqual([0, 200, 400, 600, 800].map((one) => one * 2 ** 20));
  expect(marks(0, true)).toEqual([0]);
});

it("the marks of few bytes differ from each other", () => {
  for (let top = 1; top < 40; top += 1) {
    const told = marks(top, true).map(bytes);
    expect(new Set(told).size, `up to ${top}: ${told}`).toBe(5);
    expect(marks(top, true).at(-1)).toBeGreaterThanOrEqual(top);
  }
  expect(marks(1, true)).toEqual([0, 1, 2, 3, 4]);
  expect(marks(10, true)).toEqual([0, 5, 10, 15, 20]);
});
