/** WCAG 2.2, 1.4.3 and 1.4.11, of the tokens themselves: what axe finds on a page is only what was shown there. */
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";

const SOURCE = readFileSync(new URL("../src/look/tokens.css", import.meta.url), "utf8");

const LIGHT = tokens(":root {");
const DARK = { ...LIGHT, ...tokens(":root.pf-v6-theme-dark") };

function tokens(selector) {
  const begin = SOURCE.indexOf(`\n${selector}`);
  const block = SOURCE.slice(begin, SOURCE.indexOf("\n}", begin));
  return Object.fromEntries(
    [...block.matchAll(/--v-([\w-]+): (#[0-9a-f]{6});/g)].map(([, name, value]) => [name, value]),
  );
}

/** https://www.w3.org/TR/WCAG22/#dfn-relative-luminance */
function luminance(hex) {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const value = Number.parseInt(hex.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const [dark = 0, bright = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05);
}

const SURFACES = ["bg", "surface", "sunken", "floating", "hover", "selected"];
const TEXT = [
  ["text", SURFACES],
  ["subtle", SURFACES],
  ["accent-text", SURFACES],
  ["ok", [...SURFACES, "ok-soft"]],
  ["warn", [...SURFACES, "warn-soft"]],
  ["bad", [...SURFACES, "bad-soft"]],
  ["busy", [...SURFACES, "busy-soft"]],
  ["on-accent", ["accent", "accent-hover"]],
  ["on-danger", ["danger", "danger-hover"]],
  ["console-text", ["console"]],
];
/** What is no text, but tells something: dots, the edges of fields, the ring around what has the focus. */
const MARKS = [
  ...["ok-dot", "warn-dot", "bad-dot", "busy-dot", "off-dot", "control-line", "focus"].map((name) => [
    name,
    ["bg", "surface", "floating", "hover"],
  ]),
  ["focus", ["console"]],
];

test.each([
  ["light", LIGHT],
  ["dark", DARK],
])("the contrasts of the %s theme", (_name, theme) => {
  const low = (pairs, least) =>
    pairs.flatMap(([front, backs]) =>
      backs.flatMap((back) => {
        const found = contrast(theme[front], theme[back]);
        return found >= least ? [] : [`${front} on ${back}: ${found.toFixed(2)} of ${least}`];
      }),
    );
  expect([...low(TEXT, 4.5), ...low(MARKS, 3)]).toEqual([]);
});

test("every token of the light theme that is a colour of the page has its counterpart in the dark", () => {
  const same = ["on-accent", "on-danger", "console", "console-text"];
  const missing = Object.keys(LIGHT).filter((name) => !same.includes(name) && DARK[name] === LIGHT[name]);
  expect(missing).toEqual([]);
});
