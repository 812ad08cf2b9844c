/** What an entry of the history is about, as the server wrote it down. */
import { NAMES as CHANGES, type Changes, fromTo } from "./changes";

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
  /** Where it went, and from where. */
  host?: number;
  from_host?: number;
  from_mpid?: number;
  duty?: string;
  from_duty?: string;
  /** How the object is called, or is to be; before that it was called `was`. */
  name?: string;
  was?: string;
  permission?: string;
  /** What it was asked for, or has now, and what it was. */
  state?: string;
  from_state?: string;
  /** So many were deleted with the VM. */
  disks?: number;
  /** Of a task. */
  kind?: string;
  /** Of a session. */
  sid?: string;
  /** What it was changed to. */
  changes?: Changes;
}

const WORD = /^([a-z_]+)=("(?:[^"\\]|\\.)*"|\S+)(?: |$)/;
const NUMBERS = new Set(["uid", "gid", "parent_gid", "vmid", "cloned", "tid", "trid", "disks"]);
const TEXTS = new Set(["mid", "permission", "kind", "sid", "was"]);
/** "old->new" */
const NUMBERS_FROM = new Set(["mpid", "host"]);
const TEXTS_FROM = new Set(["duty", "state"]);

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
    else if (TEXTS.has(word)) target[word] = unquoted(value);
    else if (NUMBERS_FROM.has(word) || TEXTS_FROM.has(word)) {
      const read = NUMBERS_FROM.has(word) ? Number : String;
      const [from, to] = fromTo(value);
      target[word] = read(to);
      if (from !== undefined) target[`from_${word}`] = read(from);
    } else break;
    left = left.slice(all.length);
  }
  if (Object.keys(changes).length > 0) target.changes = changes;
  return target as Target;
}

/** Whether the target has these words; "" stands for any value. */
export const holds = (target: Target, when: Readonly<Record<string, string>>): boolean =>
  Object.entries(when).every(([word, wanted]) => {
    const has = target[word as keyof Target] ?? (target.changes?.[word] && fromTo(target.changes[word])[1]);
    return has !== undefined && (wanted === "" || String(has) === wanted);
  });

/** A text that is no plain word is quoted, as JSON does it; a name that an older server wrote is not. */
function unquoted(text: string): string {
  try {
    const said: unknown = text.startsWith('"') ? JSON.parse(text) : text;
    return typeof said === "string" ? said : text;
  } catch {
    return text;
  }
}
