import { expect, test } from "vitest";
import { parts } from "./Marked";

test("every place is marked, in capitals or not, and signs are only signs", () => {
  expect(parts("Login: login:", "LOGIN:")).toEqual([
    { text: "Login:", hit: true },
    { text: " ", hit: false },
    { text: "login:", hit: true },
  ]);
  expect(parts("a.b", ".")).toEqual([
    { text: "a", hit: false },
    { text: ".", hit: true },
    { text: "b", hit: false },
  ]);
  expect(parts("what was read otherwise", "panic")).toEqual([{ text: "what was read otherwise", hit: false }]);
});
