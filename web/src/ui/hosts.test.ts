import { expect, test } from "vitest";
import { isOn } from "./hosts";

const A = { id: 1, name: "a" };
const B = { id: 2, name: "b" };

test("a pool is on its host, a shared one on each of its hosts, and where nothing says it, on any", () => {
  expect([isOn({ host: A }, "1"), isOn({ host: A }, "2"), isOn({ host: A }, "")]).toEqual([true, false, true]);
  expect([isOn({ hosts: [A, B] }, "2"), isOn({ hosts: [A] }, "2")]).toEqual([true, false]);
  expect([isOn({}, "2"), isOn(undefined, "2")]).toEqual([true, true]);
});
