/** Passwords made by chance. */
const LETTERS = "abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789"; // none that look like another
const LENGTH = 20;

/** Every letter as likely as every other: numbers beyond the last whole multiple are thrown away. */
export function generated(random: (into: Uint8Array) => void = (into) => crypto.getRandomValues(into)): string {
  const most = 256 - (256 % LETTERS.length);
  const bytes = new Uint8Array(LENGTH * 2);
  let text = "";
  while (text.length < LENGTH) {
    random(bytes);
    for (const byte of bytes) if (byte < most && text.length < LENGTH) text += LETTERS[byte % LETTERS.length];
  }
  return text;
}
