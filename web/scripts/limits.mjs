/** Writes src/api/limits.ts: what the contract says of texts, numbers and lists in requests, for what the page checks itself. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const ROOT = join(import.meta.dirname, "../..");
const KEYWORDS = ["minLength", "maxLength", "pattern", "minimum", "maximum", "minItems", "maxItems", "x-max-bytes"];
/** Names that are no words of JavaScript. */
const NAMES = { "x-max-bytes": "maxBytes" };
/** An int64, the bounds of any number in the database: no limit that a person meets. */
const wide = (value) => typeof value === "number" && Math.abs(value) > Number.MAX_SAFE_INTEGER;

const { schemas } = JSON.parse(readFileSync(join(ROOT, "docs/reference/openapi.json"), "utf8")).components;
const lines = [
  "/** Generated from docs/reference/openapi.json by scripts/limits.mjs. One constant for each schema that has limits. */",
];
for (const [name, { properties = {} }] of Object.entries(schemas)) {
  const fields = {};
  for (const [field, schema] of Object.entries(properties)) {
    const limits = KEYWORDS.filter((one) => one in schema && !wide(schema[one])).map((one) => [
      NAMES[one] ?? one,
      schema[one],
    ]);
    if (limits.length > 0) fields[field] = Object.fromEntries(limits);
  }
  if (Object.keys(fields).length > 0) lines.push(`export const ${name} = ${JSON.stringify(fields)} as const;`);
}
writeFileSync(join(import.meta.dirname, "../src/api/limits.ts"), `${lines.join("\n")}\n`);
