import { expect, test } from "vitest";
import { ALL, changes, described, exactly, SETS, words } from "./permissions";

test("there are the 28 of the contract, each once", () => {
  expect(ALL.length).toBe(28);
  expect(new Set(ALL).size).toBe(28);
});

test("each set contains the one before it", () => {
  for (const [index, set] of SETS.entries())
    for (const name of SETS[index - 1]?.permissions ?? []) expect(set.permissions).toContain(name);
});

test("a list is named by the set that it is, with or without the prefix", () => {
  const operator = SETS[1]?.permissions ?? [];
  expect(exactly(operator.map((name) => `velocity.${name}`))?.name).toBe("operator");
  expect(exactly([...operator, "vm.create"])).toBeUndefined();
  expect(words(operator)).toEqual(["operator"]);
  expect(words(["vm.state", "vm.view"])).toEqual(["vm.view", "vm.state"]);
});

test("the largest set that is held, and the rest", () => {
  const { set, rest } = described([...(SETS[0]?.permissions ?? []), "host.view"]);
  expect([set?.name, rest]).toEqual(["viewer", ["host.view"]]);
  expect(described(["vm.view"])).toEqual({ rest: ["vm.view"] });
});

test("user.revoke is taken last: it is what takes the others", () => {
  const steps = changes(["user.revoke", "vm.view", "vm.state"], ["vm.view", "vm.interact"]);
  expect(steps).toEqual([
    { verb: "grant", permission: "vm.interact" },
    { verb: "revoke", permission: "vm.state" },
    { verb: "revoke", permission: "user.revoke" },
  ]);
});

test("nothing changes when nothing differs", () => {
  expect(changes(["velocity.vm.view"], ["vm.view"])).toEqual([]);
});
