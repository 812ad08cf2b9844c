import { expect, test } from "vitest";
import type { HostSummary } from "@/api/schema";
import { fewHosts, MOST } from "./fewHosts";

const host = (id: number, more: Partial<HostSummary> = {}): HostSummary => ({
  ...{ id, name: `h${id}`, duty: "active", vms: { running: 0, total: 0 } },
  ...{ memory_mib: 100, memory_given_mib: 0, ...more },
});

test("of many hosts, those with something wrong come first, then the fullest", () => {
  const few = Array.from({ length: MOST }, (_, at) => host(at + 1));
  expect(fewHosts(few)).toBe(few);
  const many = [...few, host(50, { memory_given_mib: 90 }), host(60, { duty: "draining" })];
  const shown = fewHosts([...many, host(70, { unreachable_since: 1 })]);
  expect(shown.map((one) => one.id).slice(0, 4)).toEqual([70, 60, 50, 1]);
  expect(shown).toHaveLength(MOST);
});
