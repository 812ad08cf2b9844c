/** What a sentence of the history is made of. */

/** Words, something that has a name and perhaps a page, or what is told when one asks for it. */
export type Part = string | { name: string; to?: string } | Folded;

export interface Folded {
  /** Told instead: "3 more". */
  short: string;
  long: Part[];
}

/** Most that a line names one by one. */
const NAMED = 4;

/** Behind a word, if there are any; the last ones of many are told when they are asked for. */
export function listed(before: string, items: readonly Part[][]): Part[] {
  if (items.length === 0) return [];
  if (items.length <= NAMED) return together([before, ...joined(items)]);
  const left = items.slice(NAMED - 1);
  const more = { short: `${left.length} more`, long: together(joined(left)) };
  return together([before, ...joined(items.slice(0, NAMED - 1)), ", ", more]);
}

const joined = (items: readonly Part[][]): Part[] =>
  items.flatMap((item, index) => (index === 0 ? item : [", ", ...item]));

/** Words beside each other are one part. */
function together(parts: readonly Part[]): Part[] {
  const found: Part[] = [];
  for (const part of parts) {
    const last = found.at(-1);
    if (typeof part === "string" && typeof last === "string") found[found.length - 1] = last + part;
    else found.push(part);
  }
  return found;
}

/** The sentence without links, to search in. */
export const plain = (parts: readonly Part[]): string =>
  parts.map((part) => (typeof part === "string" ? part : "long" in part ? plain(part.long) : part.name)).join("");
