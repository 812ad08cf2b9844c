/**
 * A sentence with names in it that others chose: what of it is written from right to left turns round nothing beside it,
 * neither a number nor a full stop. What the server has in `backticks` is typed at a terminal.
 */
const RIGHT_TO_LEFT = "[\\u0590-\\u08ff\\ufb1d-\\ufdff\\ufe70-\\ufefc\\u{10800}-\\u{10fff}\\u{1e800}-\\u{1efff}]";
/** Its words, with the spaces and punctuation between them. */
const TURNED = `${RIGHT_TO_LEFT}+(?:[\\s\\p{M}\\p{P}]+${RIGHT_TO_LEFT}+)*`;
const APART = new RegExp(`(\`[^\`]+\`|${TURNED})`, "u");

/** The text in parts: each second one stands apart. */
export const partsOf = (text: string): string[] => text.split(APART);

export function Sentence({ children }: { children: string }) {
  return partsOf(children).map((part, index) => {
    if (index % 2 === 0) return part;
    // biome-ignore-start lint/suspicious/noArrayIndexKey: a part has no identity but its place
    return part.startsWith("`") ? <code key={index}>{part.slice(1, -1)}</code> : <bdi key={index}>{part}</bdi>;
    // biome-ignore-end lint/suspicious/noArrayIndexKey: a part has no identity but its place
  });
}
