/** Pages of the history put together: what is new before, what is older behind. */
import type { Answer } from "@/api/call";

export type Entry = Answer<"/t/history", "post">["entries"][number];

export const PAGE = 100;

export interface Known {
  entries: Entry[];
  /** Nothing is older than these. */
  whole: boolean;
}

/** The newest page beside what was known. If there is a gap between them, what was known is dropped. */
export function withNewest(known: Known | undefined, page: Entry[], limit: number): Known {
  const newest = known?.entries[0]?.hid;
  const touches = newest !== undefined && (page.length < limit || page.some((one) => one.hid <= newest));
  if (!known || !touches) return { entries: page, whole: page.length < limit };
  const fresh = page.filter((one) => one.hid > newest);
  return fresh.length === 0 ? known : { entries: [...fresh, ...known.entries], whole: known.whole };
}

export function withOlder(known: Known, page: Entry[], limit: number): Known {
  const oldest = known.entries.at(-1)?.hid ?? Number.POSITIVE_INFINITY;
  return { entries: [...known.entries, ...page.filter((one) => one.hid < oldest)], whole: page.length < limit };
}
