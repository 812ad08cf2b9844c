/** The weights of DESIGN.md: 400, 500 and 600, also in what PatternFly is given. */
import { globSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const SOURCES = fileURLToPath(new URL("../src/", import.meta.url));
const WEIGHT = /(?:font-weight|--font--weight--[\w-]+):\s*(\d+)/g;

test("texts have three weights", () => {
  const files = globSync("**/*.css", { cwd: SOURCES });
  const found = files.flatMap((file) =>
    [...readFileSync(SOURCES + file, "utf8").matchAll(WEIGHT)].map(([, weight]) => [file, weight]),
  );
  expect(found.length).toBeGreaterThan(20);
  expect(found.filter(([, weight]) => !["400", "500", "600"].includes(weight))).toEqual([]);
});
