import { expect, test } from "vitest";
import { bytes, percent, rate } from "./format";

test("an amount has three digits, and no more than the unit above begins with", () => {
  expect([0, 512, 1536, 10 * 2 ** 20, 1.5 * 2 ** 30].map(bytes)).toEqual([
    "0 B",
    "512 B",
    "1.50 KiB",
    "10 MiB",
    "1.50 GiB",
  ]);
  expect([2 ** 20 - 1, 2 ** 30 - 1, 1023.7].map(bytes)).toEqual(["1 MiB", "1 GiB", "1 KiB"]);
  expect(rate(2 ** 20)).toBe("1 MiB/s");
  expect([0, 0.04, 8, 9.97, 12.6].map(percent)).toEqual(["0%", "0%", "8%", "10%", "13%"]);
});
