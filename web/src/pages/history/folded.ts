/** Entries of the history that are one thing to people as one line: a set of permissions is given one by one. */
import type { Entry } from "./paging";
import { readTarget } from "./target";

/** An entry that stands for several: `permissions` are those of all of them. */
export type Line = Entry & { permissions?: string[] };

/** Seconds between two of them. */
const APART = 60;
const FOLDED = new Set(["grant_permission", "revoke_permission"]);

/** Newest first, as they come. */
export function folded(entries: readonly Entry[]): Line[] {
  const lines: Line[] = [];
  let last: { line: Line; at: number; key: string } | undefined;
  for (const entry of entries) {
    const { permission } = readTarget(entry.target);
    const key = FOLDED.has(entry.operation) && entry.status < 400 && permission ? keyOf(entry) : "";
    if (last && key && last.key === key && last.at - entry.at <= APART) {
      last.line.permissions = [permission ?? "", ...(last.line.permissions ?? [])];
      last.at = entry.at;
      continue;
    }
    const line: Line = key ? { ...entry, permissions: [permission ?? ""] } : entry;
    lines.push(line);
    last = { line, at: entry.at, key };
  }
  return lines;
}

function keyOf(entry: Entry): string {
  const { uid, gid } = readTarget(entry.target);
  return [entry.operation, entry.uid, uid, gid].join();
}
