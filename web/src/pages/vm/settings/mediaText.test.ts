import { expect, test } from "vitest";
import type { Medium } from "@/api/live";
import { isUsedByAnother, mediumWords, sorted } from "./mediaText";

const medium = (mid: string, name: string, more: Partial<Medium> = {}) =>
  ({ mid, name, type: "DISK", size: 2 ** 30, gid: 0, used_by: [], ...more }) as unknown as Medium;
const user = (vmid: number, name: string, writing: boolean) => ({ vmid, name, writing }) as Medium["used_by"][number];
const path = (gid: number) => (gid === 0 ? "root group" : "blue");

test("two media of one name are told apart by their groups; one of another group always names it", () => {
  const mine = medium("a", "tiny.iso", { type: "ISO" });
  const theirs = medium("b", "tiny.iso", { type: "ISO", gid: 3 });
  const all = [mine, theirs, medium("c", "other")];
  expect(all.map((one) => mediumWords(one, all, 0, 7, path))).toEqual([
    "ISO, 1 GiB, in root group",
    "ISO, 1 GiB, in blue",
    "Disk, 1 GiB",
  ]);
});

test("what another VM has is not offered as free; what this one has is no other's", () => {
  const written = medium("a", "written", { used_by: [user(9, "db", true), user(8, "web", false)] });
  const read = medium("b", "read", { used_by: [user(8, "web", false)] });
  const iso = medium("c", "an.iso", { type: "ISO", used_by: [user(8, "web", false)] });
  const own = medium("d", "own", { used_by: [user(7, "me", true)] });
  const all = [written, read, iso, own];
  const [[, free], [, used]] = sorted(all, 7) as [[string, Medium[]], [string, Medium[]]];
  expect(free.map((one) => one.name)).toEqual(["an.iso", "own"]);
  expect(used.map((one) => one.name)).toEqual(["read", "written"]);
  expect(mediumWords(written, all, 0, 7, path)).toBe("Disk, 1 GiB, used by db, which may write to it, and 1 more");
  expect(mediumWords(read, all, 0, 7, path)).toBe("Disk, 1 GiB, used by web");
  expect(mediumWords(own, all, 0, 7, path)).toBe("Disk, 1 GiB");
  expect(all.map((one) => isUsedByAnother(one, 7))).toEqual([true, true, true, false]);
});
