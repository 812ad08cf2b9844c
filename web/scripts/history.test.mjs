/** What the history says on the page and on the command line alike (tests/cli/test_happened.py). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { plain } from "../src/pages/history/parts.ts";
import { sentence } from "../src/pages/history/sentence.ts";

const sentences = JSON.parse(readFileSync(join(import.meta.dirname, "../../tests/cli/sentences.json"), "utf8"));
const known = (names) => (id) => names[id];
const names = {
  me: 5,
  vm: known({ 7: "web" }),
  medium: known({ m1: "debian.iso" }),
  group: known({ 3: "team/web" }),
  user: known({ 2: "anna" }),
  pool: known({ 1: "default", 2: "fast" }),
  host: known({ 1: "attic", 4: "cellar" }),
  hostPath: () => undefined,
  deleted: () => undefined,
};

test.each(sentences)("%s %s", (operation, target, says) => {
  expect(plain(sentence({ operation, target, gid: 0, refused: false }, names))).toBe(says);
});
