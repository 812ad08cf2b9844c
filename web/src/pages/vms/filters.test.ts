import { expect, test } from "vitest";
import { type Facet, fits, readFilters, subtree, tree, withCounts, writeFilters } from "./filters";

const GROUPS = [
  { gid: 0, parent_gid: 0, name: "root" },
  { gid: 3, parent_gid: 2, name: "lab10" },
  { gid: 4, parent_gid: 2, name: "lab9" },
  { gid: 2, parent_gid: 0, name: "team" },
  { gid: 7, parent_gid: 99, name: "alone" },
];

test("filters survive the way through the address, and leave the rest of it alone", () => {
  const params = new URLSearchParams("find=web&view=wall");
  writeFilters(params, { facets: ["running", "trouble"], gid: 0, host: 2 });
  expect(readFilters(params)).toEqual({ facets: ["running", "trouble"], gid: 0, host: 2 });
  expect(params.get("find")).toBe("web");
  expect(params.get("view")).toBe("wall");
  writeFilters(params, { facets: [] });
  expect(params.toString()).toBe("find=web&view=wall");
});

test("an address by somebody else is read as far as it makes sense", () => {
  expect(readFilters(new URLSearchParams("state=RUNNING,weird&group=x&host=b"))).toEqual({ facets: ["running"] });
});

test("a group stands for all below it", () => {
  expect([...subtree(GROUPS, 2)].sort()).toEqual([2, 3, 4]);
  expect(subtree(GROUPS, 0)).toEqual(new Set([0, 2, 3, 4]));
});

test("a ring of groups ends", () => {
  const ring = [
    { gid: 1, parent_gid: 2 },
    { gid: 2, parent_gid: 1 },
  ];
  expect(subtree(ring, 1)).toEqual(new Set([1, 2]));
});

test("the tree has parents before children, and numbers in order", () => {
  expect(tree(GROUPS).map((one) => `${"-".repeat(one.depth)}${one.name}`)).toEqual([
    "alone",
    "root",
    "-team",
    "--lab9",
    "--lab10",
  ]);
});

test("a group's VMs are its own and those of all below it", () => {
  const vms = [7, 2, 3, 3, 4, 0].map((gid) => ({ gid }));
  const counts = new Map(withCounts(tree(GROUPS), vms).map((one) => [one.gid, one.vms]));
  expect([...counts.values()]).toEqual(
    tree(GROUPS).map((one) => vms.filter((vm) => subtree(GROUPS, one.gid).has(vm.gid)).length),
  );
  expect([counts.get(2), counts.get(0)]).toEqual([4, 5]);
});

test("several states are any of them; trouble is one more", () => {
  const running = { gid: 0, state: "RUNNING" } as const;
  const dead = { gid: 7, state: "STOPPED" } as const;
  const marks = { trouble: (vm: { gid: number }) => vm.gid === 7, busy: () => false };
  expect(fits(running, [], undefined, marks)).toBe(true);
  expect(fits(running, ["stopped"], undefined, marks)).toBe(false);
  expect(fits({ gid: 0, state: "STARTING" }, ["changing"], undefined, marks)).toBe(true);
  expect(fits(dead, ["running", "trouble"], undefined, marks)).toBe(true);
  expect(fits(dead, [], new Set([0, 2]), marks)).toBe(false);
});

test("what is chosen adds up: states, and what is true beside them", () => {
  const marks = {
    trouble: (vm: { name: string }) => vm.name === "bad",
    busy: (vm: { name: string }) => vm.name === "hot",
  };
  const vms = [
    { gid: 0, state: "RUNNING" as const, name: "hot" },
    { gid: 0, state: "RUNNING" as const, name: "cold" },
    { gid: 2, state: "STOPPED" as const, name: "bad" },
  ];
  const names = (facets: Facet[], within?: Set<number>) =>
    vms.filter((vm) => fits(vm, facets, within, marks)).map((vm) => vm.name);
  expect(names(["busy"])).toEqual(["hot"]);
  expect(names(["busy", "stopped"])).toEqual(["hot", "bad"]);
  expect(names(["trouble"], new Set([0]))).toEqual([]);
  expect(names([])).toEqual(["hot", "cold", "bad"]);
});
