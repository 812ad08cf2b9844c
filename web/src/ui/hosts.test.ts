import { expect, test } from "vitest";
import { hostsOf } from "./hosts";

test("each host stands once, by name; where there is only one, none", () => {
  const [a, b, c] = [
    { id: 3, name: "host10" },
    { id: 2, name: "host9" },
    { id: 1, name: "alone" },
  ];
  expect(hostsOf([{ host: a }, { host: b }, { host: a }, { host: c }])).toEqual([c, b, a]);
  expect(hostsOf([{}, {}])).toEqual([]);
});
