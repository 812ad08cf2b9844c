import { expect, test } from "vitest";
import { hostsOf, isOn } from "./hosts";

test("each host stands once, by name; where there is only one, none", () => {
  const [a, b, c] = [
    { id: 3, name: "host10" },
    { id: 2, name: "host9" },
    { id: 1, name: "alone" },
  ];
  expect(hostsOf([{ host: a }, { host: b }, { host: a }, { host: c }])).toEqual([c, b, a]);
  expect(hostsOf([{}, {}])).toEqual([]);
});

test("a pool is on its host, a shared one on each of its hosts, and where nothing says it, on any", () => {
  const [a, b] = [
    { id: 1, name: "a" },
    { id: 2, name: "b" },
  ];
  expect([isOn({ host: a }, "1"), isOn({ host: a }, "2"), isOn({ host: a }, "")]).toEqual([true, false, true]);
  expect([isOn({ hosts: [a, b] }, "2"), isOn({ hosts: [a] }, "2")]).toEqual([true, false]);
  expect([isOn({}, "2"), isOn(undefined, "2")]).toEqual([true, true]);
});
