import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const OUT = "../src/velocity/api/static";
/** The server's, whose page this is. */
const VERSION = /^__version__ = "(.+)"$/m.exec(
  readFileSync(join(import.meta.dirname, "../src/velocity/__init__.py"), "utf8"),
)?.[1];
const PACKABLE = /\.(js|css|svg|html|json)$/;

/** Beside each file that packs well, its .gz and .br: the server sends these and compresses nothing itself. */
function packed(): Plugin {
  return {
    name: "packed",
    apply: "build",
    closeBundle() {
      const folder = join(import.meta.dirname, OUT, "assets");
      for (const name of readdirSync(folder).filter((one) => PACKABLE.test(one))) {
        const bytes = readFileSync(join(folder, name));
        writeFileSync(join(folder, `${name}.gz`), gzipSync(bytes, { level: 9 }));
        const params = { [constants.BROTLI_PARAM_QUALITY]: 9, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length };
        writeFileSync(join(folder, `${name}.br`), brotliCompressSync(bytes, { params }));
      }
    },
  };
}

const BASE = "/react-core/dist/styles/base.css";
/** Of PatternFly's base: six of its eight themes, fonts that are not ours, and its icons as a font. Nothing shows them. */
const UNUSED = [
  /:root:where\([^{]*(?:felt|glass|high-contrast)[^{]*\)\s*\{[^}]*\}/g,
  /@font-face\s*\{[^}]*(?:Red Hat Text|Red Hat Display|pficon)[^}]*\}/g,
  /(?:\.pf-v6-pficon[\w-]*(?:[:\w-]*)\s*,?\s*)+\{[^}]*\}/g,
];

/** PatternFly's styles: without what is not used, and in a layer, so that the page's own win whenever each is loaded. */
function layered(): Plugin {
  return {
    name: "layered",
    enforce: "pre",
    transform(code, id) {
      if (!/@patternfly\/.*\.css$/.test(id)) return;
      let left = code;
      if (id.endsWith(BASE)) {
        for (const unused of UNUSED) {
          const before = left.length;
          left = left.replace(unused, "");
          if (left.length === before) throw new Error(`PatternFly has no ${unused} any more: drop this`);
        }
      }
      return { code: `@layer patternfly {\n${left.replace(/^\s*@charset [^;]*;/, "")}\n}`, map: null };
    },
  };
}

/** What signing in is made of: whatever else it imported would bring the page's own chunk (scripts/budget.mjs). */
const START =
  /web\/src\/(Start|api\/(base|http|session|signal|stored|unsaved)|pages\/signin\/(First|Outside|SignIn|SignInForm|Welcome)|ui\/(late|part|renewal|theme)|look\/(first|tokens)|icon)\.|@fontsource/;

/** The page is built into the Python package, which serves it. */
export default defineConfig({
  // Under any path: the server makes the addresses in index.html those of the place that it is asked for.
  base: "./",
  define: { VERSION: JSON.stringify(VERSION) },
  plugins: [layered(), react(), packed()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    manifest: "manifest.json",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    reportCompressedSize: false,
    // Of eighty little files a first load would wait for one after the other: HTTP/1.1 brings six at a time. What signing
    // in needs is one, what the frame and the dashboard need is one; what only later pages share is left out of them.
    rolldownOptions: {
      input: { index: "index.html", app: "src/app/App.tsx" },
      output: {
        codeSplitting: {
          groups: [
            { name: "react", test: /node_modules\/(react|react-dom|scheduler)\//, priority: 5 },
            { name: "start", test: START, priority: 4 },
            { name: "router", test: /node_modules\/(react-router|@tanstack\/.*query[^/]*)\//, priority: 3 },
            {
              name: "first",
              test: /(web\/src\/(?!main\.tsx|app\/App\.tsx)|@patternfly)/,
              tags: ["$initial"],
              priority: 2,
            },
            { name: "patternfly", test: /node_modules\/@patternfly(?!.*\bTable)/, minShareCount: 8, priority: 1 },
            { name: "shared", test: /web\/src/, minShareCount: 3, priority: 1 },
          ],
        },
      },
    },
  },
  server: { proxy: { "^/(u|v|m|t|h)/": { target: "http://127.0.0.1:8090", ws: true } } },
});
