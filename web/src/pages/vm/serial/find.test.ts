import { expect, test } from "vitest";
import { placesOf } from "./find";

function shown(...rows: string[]) {
  return {
    length: rows.length,
    getLine: (row: number) => {
      const text = rows[row];
      if (text === undefined) return undefined;
      return { isWrapped: text.startsWith("+"), translateToString: () => text.replace(/^\+/, "").padEnd(8) };
    },
  };
}

test("a text is found in every line, whatever its letters, from the oldest on", () => {
  expect(placesOf("err", shown("no", "an ERR", "errerr"), 8)).toEqual([
    { row: 1, column: 3 },
    { row: 2, column: 0 },
    { row: 2, column: 3 },
  ]);
  expect(placesOf("", shown("no"), 8)).toEqual([]);
  expect(placesOf("none", shown("no"), 8)).toEqual([]);
});

test("it is found over the end of a row that the terminal has wrapped, and not over the end of a line", () => {
  expect(placesOf("panic", shown("kernelpa", "+nic: pa", "nic"), 8)).toEqual([{ row: 0, column: 6 }]);
});
