import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import { defineConfig, type Plugin } from "vite";

const OUT = "../src/velocity/api/static";
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

/** PatternFly's base has eight themes; the page has light and dark. A third of what a first load's styles weigh. */
function twoThemes(): Plugin {
  return {
    name: "two-themes",
    transform(code, id) {
      if (!id.endsWith("/react-core/dist/styles/base.css")) return;
      const left = code.replace(/:root:where\([^{]*(?:felt|glass|high-contrast)[^{]*\)\s*\{[^}]*\}/g, "");
      if (left.length === code.length) throw new Error("PatternFly has no other themes any more: drop this");
      return { code: left, map: null };
    },
  };
}

/** The page is built into the Python package, which serves it. */
export default defineConfig({
  // Under any path: the server makes the addresses in index.html those of the place that it is asked for.
  base: "./",
  plugins: [twoThemes(), react(), packed()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    outDir: OUT,
    emptyOutDir: true,
    target: "es2022",
    manifest: "manifest.json",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 1200,
    reportCompressedSize: false,
    // Of eighty little files a first load would wait for one after the other: HTTP/1.1 brings six at a time. What the
    // frame and the dashboard need is one; what only later pages share is left out of it.
    // The page's own styles stay with the entry, whose styles come last: they change some of the components'.
    rolldownOptions: {
      output: {
        codeSplitting: {
          groups: [
            {
              name: "react",
              test: /node_modules\/(react|react-dom|react-router|scheduler|@tanstack\/.*query[^/]*)\//,
              priority: 3,
            },
            {
              name: "first",
              test: /(web\/src|@patternfly)(?!.*\/(main\.tsx|app\.css|base\.css))/,
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
