/** What the server takes, told before it is asked. */

export const MOST = { displays: 8, media: 32, nics: 8, pixels: 8192, name: 128 };

/** What is wrong with a name; undefined if nothing is. */
export function nameProblem(name: string): string | undefined {
  if (name.trim() === "") return "A name has at least one visible character.";
  if ([...name].length > MOST.name) return `A name has at most ${MOST.name} characters.`;
  if (/\p{C}/u.test(name)) return "A name has printable characters only.";
  return undefined;
}
