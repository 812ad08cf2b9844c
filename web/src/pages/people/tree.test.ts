import { expect, test } from "vitest";
import { branches, fitting, lineOf, within } from "./tree";

const group = (gid: number, parent_gid: number, name: string) => ({ gid, parent_gid, name });
const ALL = [
  group(0, 0, "root"),
  group(2, 0, "web"),
  group(3, 2, "site"),
  group(4, 0, "lab"),
  group(5, 3, "lab tests"),
];

test("the tree is sorted by name, the root is nobody's child", () => {
  const [root, ...others] = branches(ALL);
  expect(others).toEqual([]);
  expect(root?.below.map((one) => one.group.name)).toEqual(["lab", "web"]);
});

test("a group whose parent is not seen stands at the top", () => {
  expect(branches([group(7, 99, "alone")]).map((one) => one.group.gid)).toEqual([7]);
});

test("a search keeps what leads to what was found", () => {
  const [root] = fitting(branches(ALL), "LAB");
  expect(root?.below.map((one) => one.group.name)).toEqual(["lab", "web"]);
  expect(root?.below[1]?.below[0]?.below[0]?.group.name).toBe("lab tests");
  expect(fitting(branches(ALL), "nobody")).toEqual([]);
});

test("the line goes up to the root and ends there", () => {
  expect(lineOf(ALL, 5).map((one) => one.gid)).toEqual([5, 3, 2, 0]);
  expect(lineOf(ALL, 99)).toEqual([]);
});

test("within: the group and all below", () => {
  expect([...within(ALL, 2)].sort()).toEqual([2, 3, 5]);
});
