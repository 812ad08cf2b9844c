import { expect, test } from "vitest";
import { SizeWatch } from "./size";

const ROOM = { width: 1303, height: 771 };
const OWN = { width: 1024, height: 768 };

test("a guest that keeps its own size is told of after it had time, and not for ever", () => {
  const watch = new SizeWatch();
  const said = Array.from({ length: 10 }, () => watch.look(OWN, ROOM));
  expect(said).toEqual([false, false, true, true, true, true, true, false, false, false]);
  expect([0, 1, 2].map(() => watch.look(OWN, { ...ROOM, width: 900 }))).toEqual([false, false, true]);
});

test("one that follows is not, also if it rounds", () => {
  const watch = new SizeWatch();
  expect([0, 1, 2, 3].map(() => watch.look({ width: 1296, height: 768 }, ROOM))).not.toContain(true);
});
