import { expect, test } from "vitest";
import { percent } from "@/ui/format";
import { cpuOf, isBusy, usagesOf } from "./usage";

const USAGES = usagesOf({ vmids: [7, 9], cpu: [170, null], memory_mib: [300, 20], running_since: [5, 6] });

test("a VM is as busy as all its CPUs together", () => {
  expect(cpuOf({ vmid: 7, cpus: 2 }, USAGES)).toBe(85);
  expect(isBusy({ vmid: 7, cpus: 2 }, USAGES)).toBe(true);
  expect(isBusy({ vmid: 7, cpus: 4 }, USAGES)).toBe(false);
});

test("what is not measured is neither idle nor busy", () => {
  expect(cpuOf({ vmid: 9, cpus: 1 }, USAGES)).toBeUndefined();
  expect(cpuOf({ vmid: 4711, cpus: 1 }, USAGES)).toBeUndefined();
  expect(isBusy({ vmid: 9, cpus: 1 }, USAGES)).toBe(false);
});

test("small shares keep a digit", () => {
  expect([0, 0.44, 9.96, 42.4].map(percent)).toEqual(["0%", "0.4%", "10%", "42%"]);
});
