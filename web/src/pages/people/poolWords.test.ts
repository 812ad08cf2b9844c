import { expect, test } from "vitest";
import { whereWords } from "./poolWords";

const a = { id: 1, name: "a" };
const b = { id: 2, name: "b" };

test("a pool says on which hosts it is, where there are several", () => {
  expect(whereWords({})).toBe("");
  expect(whereWords({ host: b })).toBe("on b");
  expect(whereWords({ hosts: [a, b] })).toBe("shared by a, b");
  expect(whereWords({ hosts: [] })).toBe("shared; no host has it at present");
});
