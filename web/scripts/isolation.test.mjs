/** A name that somebody chose turns round nothing that stands beside it, whatever it is written in. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { expect, test } from "vitest";

const SRC = join(import.meta.dirname, "../src");
/** Elements that isolate what is in them: by themselves, by app.css, or as the parts of PatternFly that are such ones. */
const ISOLATING =
  /^(bdi|strong|em|code|a|option|label|button|Link|NavLink|Button|LinkButton|DropdownItem|Checkbox|Radio|AlertActionLink|Sentence)$/;
/** What is somebody's word: a name, or a sentence of the server that may hold one. */
const SOMEBODYS = /\.(name|message)$|\bnames?\(|\bpath\(|\bgroupTitle\(|\bwho\(|\bmessageOf\(|\basSentence\(/;
/** Parts of PatternFly that show a text as it is. Our own dialogs, heads and toasts isolate what they are given. */
const PLAIN = /^(Alert|ModalHeader|EmptyState)$/;
/** Read out, and never seen. */
const UNSEEN = /v-hidden-text/;

const files = readdirSync(SRC, { recursive: true }).filter((name) => name.endsWith(".tsx"));

function* found(name) {
  const source = ts.createSourceFile(name, readFileSync(join(SRC, name), "utf8"), ts.ScriptTarget.Latest, true);
  const at = (node) => `${name}:${source.getLineAndCharacterOfPosition(node.getStart()).line + 1}: ${node.getText()}`;
  const stack = [source];
  while (stack.length > 0) {
    const node = stack.pop();
    ts.forEachChild(node, (child) => void stack.push(child));
    if (ts.isJsxElement(node) || ts.isJsxFragment(node)) {
      const tag = ts.isJsxElement(node) ? node.openingElement.tagName.getText() : "";
      const children = node.children.filter((child) => !(ts.isJsxText(child) && child.containsOnlyTriviaWhiteSpaces));
      if (ISOLATING.test(tag) || UNSEEN.test(node.getText()) || children.length < 2) continue;
      for (const child of children) if (ts.isJsxExpression(child) && isSomebodys(child.expression)) yield at(child);
    } else if (ts.isJsxAttribute(node) && /^title(Text)?$/.test(node.name.getText())) {
      const tag = node.parent.parent.tagName.getText();
      if (PLAIN.test(tag) && /[nN]ame\b|messageOf|asSentence|\.message/.test(node.getText()))
        if (!/<Sentence>|=\{\w+\.name\}$/.test(node.getText())) yield at(node);
    }
  }
}

const isSomebodys = (expression) =>
  expression !== undefined && !/</.test(expression.getText()) && SOMEBODYS.test(expression.getText());

test("no name stands in a sentence without being isolated", () => {
  expect(files.length).toBeGreaterThan(150);
  expect(files.flatMap((name) => [...found(name)])).toEqual([]);
});
