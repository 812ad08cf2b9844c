import { expect, test } from "vitest";
import { groupWord, nameProblem, newName, sizeWord, userWord } from "./commands";

test("names that read as an id or an option are replaced", () => {
  expect([userWord("anna", 3), userWord("17", 3), userWord("-x", 3)]).toEqual(["anna", "3", "3"]);
  expect([groupWord("team/web", 5), groupWord("/", 0), groupWord("group 9", 9)]).toEqual(["team/web", "/", "9"]);
  expect(newName("-x")).toEqual(["--", "-x"]);
});

test("sizes lose nothing", () => {
  expect([sizeWord(200 * 2 ** 30), sizeWord(1536 * 2 ** 20), sizeWord(1000), sizeWord(0)]).toEqual([
    "200G",
    "1536M",
    "1000",
    "0",
  ]);
});

test("names are checked as the server does", () => {
  expect(nameProblem("Fachgruppe Größe ✓")).toBeUndefined();
  expect(nameProblem("  ")).toBeDefined();
  expect(nameProblem("a\tb")).toBeDefined();
  expect(nameProblem("x".repeat(129))).toBeDefined();
});
