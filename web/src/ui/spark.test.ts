import { expect, it } from "vitest";
import { sparkPath } from "./spark";

const box = { width: 90, height: 20, top: 100 };

it("a line runs from nought to the top, its newest value at the end", () => {
  expect(sparkPath([0, 50, 100], { ...box, slots: 4 })).toBe("M30 20h0.01L60 10L90 0");
});

it("a gap stays a gap, and what is more than the top stays inside", () => {
  expect(sparkPath([200, null, 100], box)).toBe("M0 0h0.01M90 0h0.01");
});

it("of nothing there is no line; where all is nought it lies at the bottom", () => {
  expect(sparkPath([null, null], box)).toBe("");
  expect(sparkPath([0, 0], { ...box, top: 0 })).toBe("M0 20h0.01L90 20");
});

it("only the newest are shown", () => {
  expect(sparkPath([1, 2, 3, 100], { ...box, slots: 1 })).toBe("M0 0h0.01");
});
