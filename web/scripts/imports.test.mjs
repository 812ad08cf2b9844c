/** The rules of biome.json about imports, on files that break them. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, expect, test } from "vitest";

const WEB = join(import.meta.dirname, "..");
const BIOME = join(WEB, "node_modules/@biomejs/biome/bin/biome");
const folder = mkdtempSync(join(tmpdir(), "imports-"));
afterAll(() => rmSync(folder, { recursive: true }));

/** What the linter says of these files and their text: "file: rule", in order. */
function lint(files) {
  rmSync(folder, { recursive: true });
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  for (const name of ["biome.json", "package.json", "tsconfig.json"]) cpSync(join(WEB, name), join(folder, name));
  const run = spawnSync(process.execPath, [BIOME, "lint", "--reporter=json", "."], { cwd: folder, encoding: "utf8" });
  const { diagnostics } = JSON.parse(run.stdout);
  return diagnostics.map(({ category, location }) => `${location.path.file ?? location.path}: ${category}`).sort();
}

const RESTRICTED = "lint/style/noRestrictedImports";
const CYCLE = "lint/suspicious/noImportCycles";

test("no floor imports from one above it, by whatever path", () => {
  const broken = {
    "src/api/one.ts": 'export * from "@/ui/x";\n',
    "src/api/two.ts": 'export type { X } from "../pages/vm/x";\n',
    "src/api/deep/three.ts": 'import "../../app/x";\n',
    "src/ui/one.ts": 'export const x = () => import("@/pages/vm/x");\n',
    "src/ui/deep/two.ts": 'import "../../app/x";\n',
    "src/pages/vm/one.ts": 'import type { X } from "@/app/x";\nexport const x: X = 1;\n',
  };
  const right = {
    "src/ui/right.ts": 'export * from "@/api/x";\nexport * from "./deep/x";\n',
    "src/pages/vm/right.ts": 'export * from "@/ui/x";\nexport * from "../media/x";\n',
    "src/app/right.ts": 'export * from "@/pages/vm/x";\nexport * from "@/ui/x";\n',
  };
  const expected = Object.keys(broken).map((name) => `${name}: ${RESTRICTED}`);
  expect(lint({ ...broken, ...right })).toEqual(expected.sort());
});

test("no circle of imports, of types and of what is loaded later neither", () => {
  const files = {
    "src/ui/one.ts": 'import type { Two } from "./two";\nexport type One = Two;\n',
    "src/ui/two.ts": 'import type { One } from "./one";\nexport type Two = One;\n',
    "src/ui/later.ts": 'export const later = () => import("@/ui/first");\n',
    "src/ui/first.ts": 'export { later } from "./later";\n',
  };
  expect(lint(files)).toEqual(
    Object.keys(files)
      .map((name) => `${name}: ${CYCLE}`)
      .sort(),
  );
});
