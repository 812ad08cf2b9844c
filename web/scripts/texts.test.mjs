/** The sentences for refusals, beside the numbers of the contract. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { sentence } from "../src/pages/history/sentence.ts";
import { NUMBERED, sentenceOf } from "../src/ui/texts/refusals.ts";

const CONTRACT = join(import.meta.dirname, "../../src/velocity/contract");
const REFERENCE = join(import.meta.dirname, "../../docs/reference");

/** "404: no such route; 16410: no such VM" */
function numbersOfContract() {
  const { paths } = JSON.parse(readFileSync(join(REFERENCE, "openapi.json"), "utf8"));
  const told = Object.values(paths).flatMap((path) =>
    Object.values(path).flatMap((operation) =>
      Object.entries(operation.responses ?? {}).flatMap(([status, { description }]) =>
        Number(status) < 400 ? [] : [...description.matchAll(/(?:^|; )(\d{3,5}): /g)].map(([, code]) => Number(code)),
      ),
    ),
  );
  const listed = [...readFileSync(join(REFERENCE, "errors.md"), "utf8").matchAll(/^\| (\d{3,5}) \|(?: (\d{3}) \|)?/gm)];
  const common = listed.filter(([line]) => /^\| \d{3} \| \d{3} \|/.test(line)).map(([, , code]) => Number(code));
  const numbered = listed.map(([, code]) => Number(code)).filter((code) => code > 999);
  return [...new Set([...told, ...common, ...numbered])].sort((a, b) => a - b);
}

test("every error of the contract has one sentence in the page, and the page has none for others", () => {
  const contract = numbersOfContract();
  expect(contract.length).toBeGreaterThan(200);
  expect([...NUMBERED].sort((a, b) => a - b)).toEqual(contract);
});

test("a sentence is for people: capital, end, no word of the API", () => {
  for (const code of NUMBERED) {
    expect(sentenceOf(code)).toMatch(/^[A-Z].*[.:]$/);
    expect(sentenceOf(code)).not.toMatch(/_|`|\b(gid|mid|mpid|vmid|uid|readonly|API|UUID)\b|\/[uvmth]\//);
  }
});

test("every operation of the contract has a sentence in the history", () => {
  const operations = readdirSync(CONTRACT).flatMap((file) =>
    file.endsWith(".py")
      ? [...readFileSync(join(CONTRACT, file), "utf8").matchAll(/\n {4}name="([a-z_]+)",\n/g)].map(([, name]) => name)
      : [],
  );
  expect(operations.length).toBeGreaterThan(50);
  expect(operations).toContain("upload_resumable");
  const none = () => undefined;
  const names = { me: 0, vm: none, medium: none, group: none, user: none, pool: none };
  const untold = operations.filter((operation) =>
    sentence({ operation, target: "", gid: 0, refused: false }, names)[0].startsWith("asked for"),
  );
  expect(untold).toEqual([]);
});

test("people read what a permission is called, and not its id", () => {
  const src = join(import.meta.dirname, "../src");
  const files = readdirSync(src, { recursive: true }).filter((name) => /(?<!\.test)\.tsx?$/.test(name));
  const ids = files.flatMap((name) => {
    if (name.startsWith("api/") || name === "ui/permissions.ts") return [];
    const lines = readFileSync(join(src, name), "utf8").split("\n");
    return lines.filter((line) => /velocity\.(\$|[a-z]+\.[a-z])/.test(line) && !/^\s*(\/?\*|\/\/)/.test(line));
  });
  // compared with what the server says; told to nobody
  const compared = ids.filter((line) => /\.(has|includes)\(/.test(line));
  expect(ids.filter((line) => !compared.includes(line))).toEqual([]);
});
