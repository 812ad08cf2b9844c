/** What an entry of the history is about, as the server wrote it down. */
import { NAMES as CHANGES, type Changes } from "./changes";

/** What an entry's target names, as the server wrote it: `vmid=7 name=web`. */
export interface Target {
  uid?: number;
  gid?: number;
  parent_gid?: number;
  vmid?: number;
  /** The VM that it is a clone of. */
  cloned?: number;
  mid?: string;
  mpid?: number;
  tid?: number;
  trid?: number;
  host?: number;
  duty?: string;
  name?: string;
  permission?: string;
  /** "PAUSED->RUNNING", or what was asked for. */
  state?: string;
  /** So many were deleted with the VM. */
  disks?: number;
  /** What it was changed to. */
  changes?: Changes;
}

const WORD = /^([a-z_]+)=(\S+)(?: |$)/;
const NUMBERS = new Set(["uid", "gid", "parent_gid", "vmid", "cloned", "mpid", "tid", "trid", "host", "disks"]);
const TEXTS = new Set(["mid", "duty", "permission", "state"]);

/** A name comes after all ids and may hold anything, so it is what is left; no request has words after a name. */
export function readTarget(text: string): Target {
  const target: Record<string, string | number | Changes> = {};
  const changes: Record<string, string> = {};
  let left = text;
  while (left) {
    if (left.startsWith("name=")) {
      target.name = unquoted(left.slice("name=".length));
      break;
    }
    const [all, word = "", value = ""] = WORD.exec(left) ?? [];
    if (all === undefined) break;
    if (CHANGES.has(word)) changes[word] = value;
    else if (NUMBERS.has(word)) target[word] = Number(value);
    else if (TEXTS.has(word)) target[word] = value;
    else break;
    left = left.slice(all.length);
  }
  if (Object.keys(changes).length > 0) target.changes = changes;
  return target as Target;
}

/** A name that is no plain word is quoted, as JSON does it; one that an older server wrote is not. */
function unquoted(text: string): string {
  try {
    const said: unknown = text.startsWith('"') ? JSON.parse(text) : text;
    return typeof said === "string" ? said : text;
  } catch {
    return text;
  }
}
