/** A line with what was searched for marked in it. */
import { Fragment } from "react";

export function Marked({ line, text }: { line: string; text: string }) {
  return parts(line, text).map((part, index) =>
    part.hit ? (
      // biome-ignore lint/suspicious/noArrayIndexKey: parts of one line, which stay in their order
      <mark key={index}>{part.text}</mark>
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: parts of one line, which stay in their order
      <Fragment key={index}>{part.text}</Fragment>
    ),
  );
}

/** In capitals or not. */
export function parts(line: string, text: string): { text: string; hit: boolean }[] {
  if (!text) return [{ text: line, hit: false }];
  const pattern = new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"), "giu");
  const found: { text: string; hit: boolean }[] = [];
  let at = 0;
  for (const match of line.matchAll(pattern)) {
    if (match.index > at) found.push({ text: line.slice(at, match.index), hit: false });
    found.push({ text: match[0], hit: true });
    at = match.index + match[0].length;
  }
  if (at < line.length) found.push({ text: line.slice(at), hit: false });
  return found;
}
