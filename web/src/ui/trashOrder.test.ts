import { expect, test } from "vitest";
import type { TrashItem } from "@/api/schema";
import { order } from "./trashOrder";

const item = (trid: number, kind: TrashItem["kind"], deleted: number): TrashItem => ({
  trid,
  kind,
  deleted,
  id: String(trid),
  gid: 0,
  name: `item ${trid}`,
  uid: 0,
  expires: deleted + 10,
  size: 0,
});

test("what holds others comes back first", () => {
  const items = [item(1, "vm", 9), item(2, "group", 3), item(3, "medium", 4), item(4, "group", 5)];
  expect(order(items).map((one) => one.trid)).toEqual([4, 2, 3, 1]);
});
