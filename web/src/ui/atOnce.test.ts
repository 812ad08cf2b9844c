import { expect, test } from "vitest";
import { someAtOnce } from "./atOnce";

test("no more at once than allowed, every one once, failures in order", async () => {
  const all = Array.from({ length: 50 }, (_, index) => index);
  let now = 0;
  let most = 0;
  const seen: number[] = [];
  const told: number[] = [];
  const work = async (one: number) => {
    now += 1;
    most = Math.max(most, now);
    await new Promise((resolve) => setTimeout(resolve, one % 3));
    now -= 1;
    seen.push(one);
    if (one === 40 || one === 7) throw new Error(`no ${one}`);
  };
  const failures = await someAtOnce(all, 4, work, (done) => told.push(done));
  expect(most).toBe(4);
  expect(seen.toSorted((a, b) => a - b)).toEqual(all);
  expect(told).toEqual(all.map((one) => one + 1));
  expect(failures).toEqual([
    [7, new Error("no 7")],
    [40, new Error("no 40")],
  ]);
});

test("nothing to do is done at once", async () => {
  expect(
    await someAtOnce(
      [],
      4,
      async () => undefined,
      () => undefined,
    ),
  ).toEqual([]);
});
