import { expect, test } from "vitest";
import { joined } from "./joined";

const permission = (name: string) => ({ pid: 1, name: `velocity.${name}`, description: "" });
const info = (gid: number, ...memberships: [number, string, string[]][]) => ({
  gid,
  name: `g${gid}`,
  memberships: memberships.map(([uid, name, names]) => ({ uid, name, permissions: names.map(permission) })),
});

test("direct and inherited permissions stay apart; those with direct ones come first", () => {
  const members = joined([
    info(7, [3, "cleo", ["vm.view"]]),
    info(2, [1, "anna", ["vm.state"]], [3, "cleo", ["vm.interact"]]),
    info(0, [0, "root", ["vm.view"]]),
  ]);
  expect(members.map((one) => one.name)).toEqual(["cleo", "anna", "root"]);
  expect(members[0]).toEqual({
    uid: 3,
    name: "cleo",
    direct: ["vm.view"],
    above: [{ gid: 2, name: "g2", permissions: ["vm.interact"] }],
  });
  expect(members[1]?.direct).toEqual([]);
});
