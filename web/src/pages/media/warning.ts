/** What to know before a medium is attached, as the server found it, without what is for a terminal. */
import type { Medium } from "@/api/live";
import { NAMES } from "@/ui/texts/names";
import { asSentence } from "@/ui/texts/words";

export const warningOf = (content: Medium["content"]): string | undefined =>
  content?.warning === undefined ? undefined : asSentence(content.warning, NAMES);
