/** What signing in takes on the way, and the page behind it, gzipped; consoles and charts must be in neither. */
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";

const STATIC = join(import.meta.dirname, "../../src/velocity/api/static");
/** Fonts are fetched when a text needs them: this one every page shows. */
const FONTS = /inter-latin-wght-normal/;
/** What the event stream comes by. */
const WORKER = /\/worker-[^/]*\.js$/;
const LATER = /novnc|xterm|uplot/i;
const LOADS = [
  { name: "signing in", entry: "index.html", budget: 150_000 },
  { name: "the page behind it", entry: "src/app/App.tsx", budget: 170_000 },
];

const manifest = JSON.parse(readFileSync(join(STATIC, "manifest.json"), "utf8"));

/** The files of an entry, and of all that it imports at once. */
function filesOf(key, seen = new Set()) {
  const chunk = manifest[key];
  if (!chunk) throw new Error(`${key} is not in the manifest`);
  if (seen.has(key)) return [];
  seen.add(key);
  if (LATER.test(key) || LATER.test(chunk.file)) throw new Error(`${key} is in the first load: import it when opened`);
  const assets = (chunk.assets ?? []).filter((one) => FONTS.test(one) || WORKER.test(one));
  const imported = (chunk.imports ?? []).flatMap((next) => filesOf(next, seen));
  return [chunk.file, ...(chunk.css ?? []), ...assets, ...imported];
}

function size(file) {
  for (const suffix of [".gz", ""]) {
    const found = statSync(join(STATIC, file + suffix), { throwIfNoEntry: false });
    if (found) return found.size;
  }
  throw new Error(`${file} is missing: make web`);
}

const loaded = new Set();
let over = false;
for (const { name, entry, budget } of LOADS) {
  const files = [...new Set([...(entry === "index.html" ? [entry] : []), ...filesOf(entry)])];
  const sizes = files.filter((one) => !loaded.has(one)).map((file) => [size(file), file]);
  for (const [, file] of sizes) loaded.add(file);
  const total = sizes.reduce((sum, [bytes]) => sum + bytes, 0);
  if (process.argv.includes("--list") || total > budget)
    for (const [bytes, file] of sizes.sort((a, b) => b[0] - a[0])) console.log(`${String(bytes).padStart(8)}  ${file}`);
  console.log(`${name}: ${total} of ${budget} bytes, gzipped, in ${sizes.length} files`);
  over ||= total > budget;
}
process.exit(over ? 1 : 0);
