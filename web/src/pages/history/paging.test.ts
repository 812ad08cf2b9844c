import { expect, test } from "vitest";
import { type Entry, type Known, withNewest, withOlder } from "./paging";

const entry = (hid: number) => ({ hid }) as Entry;
const page = (...hids: number[]) => hids.map(entry);
const hids = (known: Known) => known.entries.map((one) => one.hid);

test("the first page is all there is, if it is not full", () => {
  expect(withNewest(undefined, page(3, 2, 1), 4)).toEqual({ entries: page(3, 2, 1), whole: true });
  expect(withNewest(undefined, page(4, 3), 2).whole).toBe(false);
});

test("new ones come before what was known, once", () => {
  const known = { entries: page(4, 3), whole: false };
  const after = withNewest(known, page(6, 5, 4), 3);
  expect(hids(after)).toEqual([6, 5, 4, 3]);
  expect(after.whole).toBe(false);
  expect(withNewest(known, page(4, 3), 2)).toBe(known);
});

test("over a gap nothing is pretended: it begins anew", () => {
  expect(hids(withNewest({ entries: page(4, 3), whole: true }, page(9, 8), 2))).toEqual([9, 8]);
});

test("what is older is appended, until there is no more", () => {
  const known = withOlder({ entries: page(9, 8), whole: false }, page(7, 6), 2);
  expect(hids(known)).toEqual([9, 8, 7, 6]);
  expect(known.whole).toBe(false);
  expect(withOlder(known, page(5), 2).whole).toBe(true);
});
