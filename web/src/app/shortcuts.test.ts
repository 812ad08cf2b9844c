import { expect, it } from "vitest";
import { entryOf, PLACE_KEYS, recentFirst, remembered, shortcutOf } from "./shortcuts";

it("each place has a letter after g, and each letter leads to another", () => {
  expect(shortcutOf("v", "g")).toEqual({ is: "go", path: "/vms" });
  expect(shortcutOf("v", undefined)).toBeUndefined();
  expect(shortcutOf("c", "g")).toBeUndefined();
  expect(new Set(Object.values(PLACE_KEYS)).size).toBe(Object.keys(PLACE_KEYS).length);
});

it("single keys help, find and create", () => {
  expect(["?", "/", "c", "x"].map((key) => shortcutOf(key, undefined)?.is)).toEqual(["help", "find", "go", undefined]);
});

it("what was used lately stands first, once, and only where it is still there", () => {
  expect(remembered(["vm-1", "vm-2"], "vm-2")).toEqual(["vm-2", "vm-1"]);
  expect(remembered(["1", "2", "3", "4", "5", "6", "7", "8"], "9")).toHaveLength(8);
  const entries = ["place", "vm-1", "vm-2"].map((id) => ({ id }));
  expect(recentFirst(entries, ["vm-2", "gone"]).map((one) => one.id)).toEqual(["vm-2", "place", "vm-1"]);
});

it("the page of one thing is remembered, a list is not", () => {
  expect(["/vms/7", "/vms/7/console", "/groups/0", "/users/3"].map(entryOf)).toEqual(["vm-7", "vm-7", "g-0", "u-3"]);
  expect(["/", "/vms", "/vms/x", "/create"].map(entryOf)).toEqual([undefined, undefined, undefined, undefined]);
});
