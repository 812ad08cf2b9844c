/** What may be a medium's name and size, and whether a pool has room for it: as the server decides. */
import type { PoolInfo } from "@/api/schema";
import { DISK_HELP } from "@/ui/amounts";
import { bytes } from "@/ui/format";
import { nameProblem } from "@/ui/problems";
import { poolQuotaProblem, type Whose } from "@/ui/vmQuota";
import { IMAGE_ENDINGS } from "./content";

/** `taken` are the names that the group has in that pool. */
export const mediumNameProblem = (name: string, taken: ReadonlySet<string>): string | undefined =>
  taken.has(name)
    ? "The group already has a medium with that name in this pool. Choose another name."
    : nameProblem(name);

export function sizeProblem(size: number | undefined): string | undefined {
  if (size === undefined) return DISK_HELP;
  if (size < 1) return "It needs at least one byte.";
  if (!Number.isSafeInteger(size)) return "That is too large.";
  return undefined;
}

/** Why a disk cannot become as large as that. */
export const growProblem = (size: number | undefined, has: number): string | undefined =>
  sizeProblem(size) ??
  ((size ?? 0) <= has
    ? `It has ${bytes(has)}. A disk can only grow: shrinking would cut off data at its end.`
    : undefined);

/** What a URL is fetched as: by the name of its file. */
export function fetched(url: string): { name: string; stem: string; type: "ISO" | "DISK"; isImage: boolean } {
  let name = "";
  try {
    name = decodeURIComponent(new URL(url.trim()).pathname.split("/").pop() ?? "");
  } catch {
    // no URL yet: it has no file
  }
  const plain = stem(name);
  const iso = /\.iso$/i.test(plain);
  return { name, stem: plain, type: iso ? "ISO" : "DISK", isImage: plain !== name && !iso };
}

/** `summed`: what comes is checked by its sum, so nobody on the way can change it. */
export function urlProblem(url: string, summed: boolean): string | undefined {
  if (!/^https?:\/\/[^/\s]+\/\S*$/i.test(url.trim())) return "Enter the whole address of a file: https://…";
  if (/^http:/i.test(url.trim()) && !summed)
    return "Give its SHA-256 as well: what comes by http:// can be changed on the way.";
  return undefined;
}

export const checksumProblem = (sum: string): string | undefined =>
  sum && !/^[0-9a-f]{64}$/i.test(sum.trim()) ? "A SHA-256 has 64 digits, 0 to 9 and a to f." : undefined;

/**
 * Why a pool does not hold so many bytes, or so many `more` than a medium has. What is written at once must also find
 * them free on the disk.
 */
export function roomProblem(
  pool: PoolInfo | undefined,
  size: number,
  asking: Whose,
  { written = false, more = false } = {},
): string | undefined {
  if (!pool) return undefined;
  const over = poolQuotaProblem(size, pool, asking, more);
  if (over) return over;
  if (written && size > pool.free)
    return `${pool.name} has ${bytes(pool.free)} free, this needs ${bytes(size)}. Use another pool.`;
  return undefined;
}

/** What to know of a disk that may grow larger than what is free: it can be made, and will stop the VM one day. */
export function scarceWords(free: number | undefined, size: number | undefined): string | undefined {
  if (free === undefined || size === undefined || size <= free) return undefined;
  return `Larger than the ${bytes(free)} that are free: a VM that fills it will be paused.`;
}

/** "12 GiB of quota left; 40 GiB free in the pool". */
export function roomWords(pool: PoolInfo): string {
  const free = `${bytes(pool.free)} free in the pool`;
  return pool.left === undefined ? free : `${bytes(Math.max(0, pool.left))} of quota left; ${free}`;
}

/** A name that is not taken: "disk", "disk 2", "disk 3". */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  for (let number = 2; ; number += 1) if (!taken.has(`${name} ${number}`)) return `${name} ${number}`;
}

/** What a disk is called that is made for a VM. */
export const diskName = (vm: string): string => `${vm.slice(0, 120)}-disk`;

/** Without the endings of images and packers. */
export const stem = (name: string): string => name.replace(IMAGE_ENDINGS, "") || name;
