/** What the first page takes on the way, gzipped, must stay within the budget; consoles and charts must not be in it. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const BUDGET = 315_000;
const STATIC = join(import.meta.dirname, "../../src/velocity/api/static");
/** The frame and the dashboard, which app/App.tsx imports at once. */
const FIRST = "index.html";
/** Fonts are fetched when a text needs them: this one every page shows. */
const FONTS = /RedHatTextVF-[^I]/;
/** What the event stream comes by. */
const WORKER = /\/worker-[^/]*\.js$/;
const LATER = /novnc|xterm|uplot/i;

const manifest = JSON.parse(readFileSync(join(STATIC, "manifest.json"), "utf8"));
const files = new Set(["index.html"]);
const seen = new Set();
function add(key) {
  const chunk = manifest[key];
  if (!chunk) throw new Error(`${key} is not in the manifest`);
  if (seen.has(key)) return;
  seen.add(key);
  if (LATER.test(key) || LATER.test(chunk.file)) throw new Error(`${key} is in the first load: import it when opened`);
  const assets = (chunk.assets ?? []).filter((one) => FONTS.test(one) || WORKER.test(one));
  for (const file of [chunk.file, ...(chunk.css ?? []), ...assets]) files.add(file);
  for (const next of chunk.imports ?? []) add(next);
}
add(FIRST);

function size(file) {
  for (const suffix of [".gz", ""]) {
    const found = statSync(join(STATIC, file + suffix), { throwIfNoEntry: false });
    if (found) return found.size;
  }
  throw new Error(`${file} is missing: make web`);
}

const sizes = [...files].map((file) => [size(file), file]).sort((a, b) => b[0] - a[0]);
const total = sizes.reduce((sum, [bytes]) => sum + bytes, 0);
if (process.argv.includes("--list") || total > BUDGET) {
  for (const [bytes, file] of sizes) console.log(`${String(bytes).padStart(8)}  ${file}`);
}
console.log(`first load: ${total} of ${BUDGET} bytes, gzipped, in ${files.size} files`);
process.exit(total > BUDGET ? 1 : 0);
