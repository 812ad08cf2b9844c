import { expect, test } from "vitest";
import { partsOf } from "./Sentence";

test("what is written from right to left stands alone, with what is between its words", () => {
  expect(partsOf("web is running")).toEqual(["web is running"]);
  expect(partsOf("Starting שרת 12: failed")).toEqual(["Starting ", "שרת", " 12: failed"]);
  expect(partsOf("'שרת של דנה' and 'خادم' are gone.")).toEqual(["'", "שרת של דנה", "' and '", "خادم", "' are gone."]);
});

test("what is typed at a terminal stands apart as well", () => {
  expect(partsOf("stop it (`ss -ltn`), or not")).toEqual(["stop it (", "`ss -ltn`", "), or not"]);
  expect(partsOf("one ` alone")).toEqual(["one ` alone"]);
});
