/** Sizes as people type them: a bare number is GiB for disks and pools, and MiB for memory. */
import { parseBytes } from "./format";

export const DISK_HELP = "For example 20\u00a0GiB; a bare number is GiB.";
export const MEMORY_HELP = "For example 512\u00a0MiB or 2\u00a0GiB; a bare number is MiB.";

const BARE = /^\s*\d+(?:[.,]\d*)?\s*$/;

/** Whether what is typed so far has no unit of its own. */
export const isBare = (text: string): boolean => text.trim() === "" || BARE.test(text);

const read = (text: string, bare: "G" | "M"): number | undefined =>
  parseBytes(BARE.test(text) ? `${text}${bare}` : text);

/** Bytes of a disk or of a quota of a pool; undefined if it is not a size. */
export const diskBytes = (text: string): number | undefined => read(text, "G");

/** MiB of memory; undefined if it is not a size, or not a whole number of MiB. */
export function memoryMib(text: string): number | undefined {
  const bytes = read(text, "M");
  return bytes !== undefined && bytes > 0 && bytes % 2 ** 20 === 0 ? bytes / 2 ** 20 : undefined;
}
