/** What the server answers to "why", in short sentences. */
import type { Names } from "../texts/words";
import { inWords } from "../texts/words";

/** The server's sentence: its names of people stay as they are, and who asks is "you". */
export function told(message: string, names: Names, name: string, isMe: boolean): string {
  const words = inWords(message, names)
    .replace(/\. Anyone who has it .* can give it$/, "") // who that is stands below
    .replace("; they have it on", ". They have it on");
  return isMe
    ? words.replace(`${name} may`, "You may").replace("they have", "you have").replace("They have", "You have")
    : words;
}
