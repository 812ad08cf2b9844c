/** What happened, as a sentence: the operation and its target as people speak of them. */

import { PHRASES } from "@/api/phrases";
import { bytes, count } from "@/ui/format";
import { called, exactly, inOrder } from "@/ui/permissions";
import { ROOT_GROUP, type Names as Seen } from "@/ui/texts/words";
import { type Changes, changeWords, fromTo } from "./changes";
import { listed, type Part } from "./parts";
import { holds, readTarget, type Target } from "./target";

/** How things are called now; absent: they are gone, or not the caller's to see. */
export interface Names extends Seen {
  /** Who reads it. */
  me: number | undefined;
  myName?: string | undefined;
  /** Of what lies in the trash. */
  deleted: (kind: "vm" | "medium" | "group", id: number | string) => string | undefined;
  host: (id: number) => string | undefined;
  /** The page of a host; absent: it is not for the caller. */
  hostPath: (id: number) => string | undefined;
}

export interface Told {
  operation: string;
  target: string;
  gid: number;
  refused: boolean;
  /** Who did it. */
  uid?: number | undefined;
  /** The VM that it concerns, also where the target does not say so. */
  vmid?: number | undefined;
  /** Of several entries in one. */
  permissions?: readonly string[] | undefined;
}

/** The verb in the past, and after "tried to"; then what it was done to. */
type Phrase = [past: string, infinitive: string, ...rest: Part[]];

/** "created VM web", or for what was refused "tried to create VM web". */
export function sentence(entry: Told, names: Names): Part[] {
  const [past, infinitive, ...rest] = phrase(entry, readTarget(entry.target), names);
  const verb = entry.refused ? `tried to ${infinitive}` : past;
  return rest.length > 0 ? [`${verb} `, ...rest] : [verb];
}

/** Permissions that a line names one by one. */
const FEW = 2;

function permissionWords(names: readonly string[]): string {
  const set = exactly(names);
  const listed = inOrder(names);
  if (set) return `the ${set.name} permissions (${listed.length})`;
  const some = listed.slice(0, FEW).map(called).join(", ");
  return listed.length <= FEW ? some : `${some} and ${count(listed.length - FEW, "other permission")}`;
}

function phrase(told: Told, target: Target, names: Names): Phrase {
  const { operation, refused } = told;
  const found = PHRASES[operation]?.find((one) => holds(target, one.when));
  if (!found) return other(operation, aboutWhat(target, told.gid, names));
  const fill = (text: string) => filled(text, target, told, names);
  const base: Phrase = [found.past, found.infinitive, ...fill(found.rest)];
  const { given, others } = wordsOf(target.changes, names);
  const isMe = target.uid !== undefined && target.uid === names.me;
  switch (operation) {
    case "alter_vm":
      return altered("VM", fill("{vm:name}"), target, names, refused);
    case "alter_medium":
      return target.changes?.size && given.length + others.length === 1 && !isRenamed(target)
        ? ["grew", "grow", ...fill("{medium:name}"), grownWords(target.changes.size)]
        : altered("medium", fill("{medium:name}"), target, names, refused);
    case "set_node":
      return found.past === "changed" ? altered("host", fill("{host:name}"), target, names, refused) : base;
    case "set_quota":
      return [...base, ...listed(" to ", given), ...listed(": ", others)];
    case "assign_pool":
      return [...base, ...listed(": ", [...given, ...others, ...shareWords(target.changes)])];
    case "change_user":
      if (isMe && target.gid !== undefined) return ["set", "set", "your home group to ", ...fill("{group}")];
      if (isMe) return ["set", "set", "your password"];
      if (target.uid === undefined && told.uid !== undefined && told.uid === names.me)
        return target.gid === undefined
          ? ["changed", "change", "your own password"]
          : ["set", "set", "your own home group to ", ...fill("{group}")];
      return base;
    default:
      return base;
  }
}

/** The text of a phrase with names and links in the places of its braces. */
function filled(text: string, target: Target, { vmid, permissions }: Told, names: Names): Part[] {
  const called = target.was ?? (isRenamed(target) ? undefined : target.name);
  const part = (word: string, former: string | undefined): Part => {
    switch (word) {
      case "vm":
        return vmPart(target.vmid ?? vmid, names, former);
      case "source":
        return vmPart(target.cloned, names);
      case "medium":
        return mediumPart(target.mid, names, former);
      case "user":
        return target.uid !== undefined && target.uid === names.me
          ? { name: "you", to: `/users/${target.uid}` }
          : thing("user", names.user, target.uid, (id) => `/users/${id}`, former);
      case "group":
        return groupPart(target.gid, names, former);
      case "parent":
        return groupPart(target.parent_gid, names);
      case "pool":
        return thing("pool", names.pool, target.mpid, undefined, undefined);
      case "from_pool":
        return thing("pool", names.pool, target.from_mpid, undefined, undefined);
      case "host":
        return thing("host", names.host, target.host, names.hostPath, former);
      case "from_host":
        return thing("host", names.host, target.from_host, names.hostPath, undefined);
      case "permission":
        return target.permission ? permissionWords(permissions ?? [target.permission]) : "all permissions";
      case "disks":
        return String(target.disks);
      default:
        return { name: target.name ?? "" };
    }
  };
  return text.split(/(\{[^}]*\})/).flatMap((piece) => {
    const [, word, named] = /^\{(\w+)(:name)?\}$/.exec(piece) ?? [];
    if (word !== undefined) return [part(word, named ? called : undefined)];
    return piece ? [piece] : [];
  });
}

const isRenamed = ({ changes }: Target): boolean => changes?.changed?.split("+").includes("name") ?? false;

/** "gave VM web 4 CPUs", "renamed VM old to web", "changed VM web: CPUs 2 → 4, attached data", "attached data to VM web". */
function altered(kind: string, what: Part[], target: Target, names: Names, refused: boolean): Phrase {
  const { name, was, changes = {} } = target;
  const { given, others, renamed } = wordsOf(changes, names);
  const all = [...given, ...others];
  if (renamed && name !== undefined && all.length === 0) {
    if (was !== undefined) return ["renamed", "rename", ...relabelled(what, `${kind} ${was}`), " to ", { name }];
    if (refused) return ["renamed", "rename", ...what, " to ", { name }];
    // what it was called before is not recorded, and its present name may be a later one
    return ["renamed", "rename", `a ${kind} to `, ...relabelled(what, name)];
  }
  if (given.length > 0 && others.length === 0 && !renamed) return ["gave", "give", ...what, ...listed(" ", given)];
  const only = all.length === 1 && !renamed && !changes.media?.includes(",") ? changes.media : undefined;
  const drive = changes.changed === "drives"; // it takes an empty drive, or leaves one
  if (only?.startsWith("+"))
    return [...(drive ? INSERTED : ATTACHED), mediumPart(only.slice(1), names), drive ? " into " : " to ", ...what];
  if (only?.startsWith("-"))
    return [...(drive ? EJECTED : DETACHED), mediumPart(only.slice(1), names), " from ", ...what];
  const before: Part[] = was === undefined ? [] : [{ name: was }, " → "];
  if (renamed && name !== undefined)
    return ["changed", "change", ...what, ": the name ", ...before, { name }, ...listed(", ", all)];
  return ["changed", "change", ...what, ...listed(": ", all)];
}

const relabelled = (what: Part[], name: string): Part[] =>
  what.map((part) => (typeof part === "object" && "name" in part ? { ...part, name } : part));

const ATTACHED = ["attached", "attach"] as const;
const DETACHED = ["detached", "detach"] as const;
const INSERTED = ["inserted", "insert"] as const;
const EJECTED = ["ejected", "eject"] as const;

function grownWords(size: string): string {
  const [from, to] = fromTo(size);
  return `${from === undefined ? "" : ` from ${bytes(Number(from))}`} to ${bytes(Number(to))}`;
}

const wordsOf = (changes: Changes | undefined, names: Names) =>
  changeWords(changes ?? {}, (mid) => mediumPart(mid, names));

const mediumPart = (mid: string | undefined, names: Names, former?: string): Part =>
  thing(
    "medium",
    names.medium,
    mid,
    (id) => `/media/${id}`,
    former ?? (mid === undefined ? undefined : names.deleted("medium", mid)),
  );

/** What the group may do in the pool, or may do no more. */
function shareWords({ write, manage }: Changes = {}): Part[][] {
  const now = (value: string | undefined) => value !== undefined && fromTo(value)[1] === "true";
  const lost = (value: string | undefined) => value === "true->false";
  if (lost(manage)) return [["no longer to manage"], ...(lost(write) ? [["no longer to write"]] : [])];
  if (lost(write)) return [["no longer to write"]];
  if (now(manage)) return [["to manage"]];
  return now(write) ? [["to write"]] : write === undefined ? [] : [["to read"]];
}

/** An operation that is new here: its name in words, and what it was about. */
function other(operation: string, about: Part | undefined): Phrase {
  const words = operation.replaceAll("_", " ");
  return [`asked for “${words}”`, words, ...(about ? ["of ", about] : [])];
}

function aboutWhat(target: Target, at: number, names: Names): Part | undefined {
  if (target.vmid !== undefined) return thing("VM", names.vm, target.vmid, (id) => `/vms/${id}`, undefined);
  if (target.mid !== undefined) return thing("medium", names.medium, target.mid, undefined, undefined);
  if (target.uid !== undefined) return thing("user", names.user, target.uid, (id) => `/users/${id}`, undefined);
  const gid = target.gid ?? at;
  return gid === 0 ? undefined : groupPart(gid, names);
}

function vmPart(vmid: number | undefined, names: Names, former?: string): Part {
  const gone = former ?? (vmid === undefined ? undefined : names.deleted("vm", vmid));
  return thing("VM", names.vm, vmid, (id) => `/vms/${id}`, gone);
}

function groupPart(gid: number | undefined, names: Names, former?: string): Part {
  if (gid === 0) return { name: ROOT_GROUP, to: "/groups/0" };
  const gone = former ?? (gid === undefined ? undefined : names.deleted("group", gid));
  return thing("group", names.group, gid, (id) => `/groups/${id}`, gone);
}

/** By its present name with its page; what is gone by the name that it had, or its number. */
function thing<Id extends string | number>(
  kind: string,
  nameOf: (id: Id) => string | undefined,
  id: Id | undefined,
  page: ((id: Id, name: string) => string | undefined) | undefined,
  former: string | undefined,
): Part {
  if (id === undefined) return former ? { name: `${kind} ${former}` } : kind;
  const name = nameOf(id);
  if (name === undefined) return { name: `${kind} ${former ?? shortId(id)}` };
  return { name: `${kind} ${name}`, to: page?.(id, name) };
}

const shortId = (id: string | number): string => (typeof id === "string" ? id.slice(0, 8) : String(id));
