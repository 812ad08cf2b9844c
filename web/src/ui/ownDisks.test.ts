import { expect, test } from "vitest";
import type { Medium, Vm } from "@/api/live";
import { ownDisks } from "./ownDisks";

const vm = (vmid: number, ...media: string[]) => ({ vmid, gid: 1, media }) as unknown as Vm;
const medium = (mid: string, more: object = {}) =>
  ({ mid, gid: 1, type: "DISK", readonly: false, used_by: [{}], ...more }) as unknown as Medium;

test("its disks are what it writes to, of its own group, and no ISO", () => {
  const media = [
    medium("a"),
    medium("iso", { type: "iso" }),
    medium("base", { readonly: true }),
    medium("theirs", { gid: 2 }),
    medium("unused"),
  ];
  const { disks, shared } = ownDisks([vm(7, "a", "iso", "base", "theirs")], media);
  expect(disks.get(7)?.map((one) => one.mid)).toEqual(["a"]);
  expect(shared).toEqual([]);
});

test("a disk that another VM has stays, and the others go", () => {
  const media = [medium("a", { used_by: [{}, {}] }), medium("b"), medium("c")];
  const { disks, shared } = ownDisks([vm(7, "a", "b"), vm(8, "c")], media);
  const mids = (all: readonly Medium[] | undefined) => all?.map((one) => one.mid);
  expect([mids(disks.get(7)), mids(disks.get(8)), mids(shared)]).toEqual([["b"], ["c"], ["a"]]);
});
