/** Writes src/api/phrases.ts: the history in words, as the contract has it. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const phrases = JSON.parse(readFileSync(join(ROOT, "docs/reference/openapi.json"), "utf8"))["x-history"];
writeFileSync(
  join(import.meta.dirname, "../src/api/phrases.ts"),
  `/** Generated from docs/reference/openapi.json by scripts/phrases.mjs. */

/** See src/velocity/contract/phrases.py. */
export interface Phrase {
  past: string;
  infinitive: string;
  rest: string;
  when: Readonly<Record<string, string>>;
}

/** By operation; the first one that holds counts. */
export const PHRASES: Readonly<Record<string, readonly Phrase[]>> = ${JSON.stringify(phrases)};
`,
);
