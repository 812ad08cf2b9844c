import { expect, test } from "vitest";
import { generated } from "./secret";

test("a generated password is long enough, and another one each time", () => {
  const all = new Set(Array.from({ length: 50 }, () => generated()));
  expect(all.size).toBe(50);
  for (const one of all) expect(one).toMatch(/^[a-zA-Z2-9]{20}$/);
});

test("bytes that would make some letters likelier are thrown away", () => {
  let times = 0;
  const text = generated((into) => into.fill(times++ === 0 ? 255 : 1));
  expect(text).toBe("b".repeat(20));
  expect(times).toBe(2);
});
