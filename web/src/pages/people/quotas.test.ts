import { expect, test } from "vitest";
import { quotaLine, read, readAll, shown, typedOf } from "./quotas";

test("what is typed reads back as the same limit", () => {
  for (const value of [0, 1, 512, 1536, 16384, 2 ** 20])
    expect(read("memory_mib", shown("memory_mib", value))).toEqual({ value });
  expect(typedOf({ cpus: 4 })).toEqual({ cpus: "4", memory_mib: "", vms: "" });
});

test("nothing is no limit, zero is a limit", () => {
  expect(read("cpus", " ")).toEqual({});
  expect(read("vms", "0")).toEqual({ value: 0 });
});

test("a bare number is MiB of memory, as everywhere", () => {
  expect(read("memory_mib", "16")).toEqual({ value: 16 });
  expect(read("memory_mib", "1.5G")).toEqual({ value: 1536 });
  expect(read("cpus", "2.5")).toHaveProperty("wrong");
  expect(read("cpus", "-1")).toHaveProperty("wrong");
});

test("no more than a group above has", () => {
  const { limits, wrong } = readAll({ cpus: "9", memory_mib: "1G", vms: "" }, { cpus: 8 });
  expect(limits).toEqual({ memory_mib: 1024 });
  expect(wrong.cpus).toContain("8 CPUs");
});

test("the line states all limits, as the API does", () => {
  expect(quotaLine(5, "web", { cpus: 8, memory_mib: 1536 }).join(" ")).toBe(
    "velocity group quota web --cpus 8 --memory 1536M --vms none",
  );
});
