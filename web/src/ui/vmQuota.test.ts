import { expect, test } from "vitest";
import type { QuotaInfo } from "@/api/schema";
import { fullWords } from "./vmQuota";

const quota = (vms: number, limit: number | undefined, left: number | undefined): QuotaInfo => ({
  gid: 3,
  revision: "1",
  usage: { cpus: 0, memory_mib: 0, vms },
  limits: limit === undefined ? {} : { vms: limit },
  left: left === undefined ? {} : { vms: left },
});

test("a group that can have no other VM says how many it has", () => {
  expect(fullWords("Blue", quota(2, 2, 0))).toBe(
    "There are already 2 of 2 VMs in Blue: delete one, or ask for a higher quota.",
  );
  expect(fullWords("Blue", quota(3, 2, -1))).toContain("3 of 2 VMs");
  expect(fullWords("Blue", quota(1, 2, 1))).toBeUndefined();
  expect(fullWords("Blue", quota(9, undefined, undefined))).toBeUndefined();
});

test("where a group above has no room, it is that one's quota", () => {
  expect(fullWords("Blue", quota(1, 2, 0))).toMatch(/^The quota of a group above Blue/);
  expect(fullWords("Blue", quota(1, undefined, 0))).toMatch(/^The quota of a group above Blue/);
});
