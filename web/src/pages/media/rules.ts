/** What may be a medium's name and size, and whether a pool has room for it: as the server decides. */
import type { PoolInfo } from "@/api/schema";
import { DISK_HELP } from "@/ui/amounts";
import { bytes } from "@/ui/format";
import { nameProblem } from "@/ui/problems";
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

/** Why a pool does not hold so many bytes. What is written at once must also find them free on the disk. */
export function roomProblem(pool: PoolInfo | undefined, size: number, written: boolean): string | undefined {
  if (!pool) return undefined;
  if (pool.left !== undefined && size > pool.left)
    return `The quota has ${bytes(pool.left)} left in ${pool.name}, this needs ${bytes(size)}. Remove media, or ask for more.`;
  if (written && size > pool.free)
    return `${pool.name} has ${bytes(pool.free)} free, this needs ${bytes(size)}. Use another pool.`;
  return undefined;
}

/** What to know of a disk that may grow larger than what is free: it can be made, and will stop the VM one day. */
export function scarceWords(free: number | undefined, size: number | undefined): string | undefined {
  if (free === undefined || size === undefined || size <= free) return undefined;
  return `Larger than the ${bytes(free)} that are free: a VM that fills it will be paused.`;
}

/** "12 GiB of quota left, 40 GiB free on its disk". */
export function roomWords(pool: PoolInfo): string {
  const free = `${bytes(pool.free)} free on its disk`;
  return pool.left === undefined ? `No quota; ${free}` : `${bytes(Math.max(0, pool.left))} of quota left; ${free}`;
}

/** A name that is not taken: "disk", "disk 2", "disk 3". */
export function freeName(name: string, taken: ReadonlySet<string>): string {
  if (!taken.has(name)) return name;
  for (let number = 2; ; number += 1) if (!taken.has(`${name} ${number}`)) return `${name} ${number}`;
}

/** Without the endings of images and packers. */
export const stem = (name: string): string => name.replace(IMAGE_ENDINGS, "") || name;
