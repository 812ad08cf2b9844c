/** What happened, as a sentence: the operation and its target as people speak of them. */

import { bytes, count } from "@/ui/format";
import { called, exactly, inOrder } from "@/ui/permissions";
import { ROOT_GROUP, type Names as Seen } from "@/ui/texts/words";
import { type Changes, changeWords, fromTo } from "./changes";
import { listed, type Part } from "./parts";
import { readTarget, type Target } from "./target";

/** How things are called now; absent: they are gone, or not the caller's to see. */
export interface Names extends Seen {
  /** Who reads it. */
  me: number | undefined;
  myName?: string | undefined;
  /** Of what lies in the trash. */
  deleted: (kind: "vm" | "medium" | "group", id: number | string) => string | undefined;
  host: (id: number) => string | undefined;
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

const STATES: Record<string, [string, string]> = {
  RUNNING: ["started", "start"],
  PAUSED: ["paused", "pause"],
};

const DUTIES: Record<string, [string, string]> = {
  active: ["activated", "activate"],
  draining: ["began to drain", "drain"],
  maintenance: ["began maintenance of", "begin maintenance of"],
};

/** The verb in the past, and after "tried to"; then what it was done to. */
type Phrase = [past: string, infinitive: string, ...rest: Part[]];

/** "created VM web", or for what was refused "tried to create VM web". */
export function sentence(entry: Told, names: Names): Part[] {
  const target = readTarget(entry.target);
  const [past, infinitive, ...rest] = phrase(entry, target, names);
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

function phrase({ operation, gid: at, uid: by, vmid: about, permissions }: Told, target: Target, names: Names): Phrase {
  const gone = (kind: "vm" | "medium" | "group", id: number | string | undefined) =>
    id === undefined ? undefined : names.deleted(kind, id);
  const vmOf = (id: number | undefined, former = gone("vm", id)): Part =>
    thing("VM", names.vm, id, (it) => `/vms/${it}`, former);
  const vm = () => vmOf(target.vmid, target.name);
  const medium = (former?: string): Part => mediumPart(target.mid, names, former);
  const isMe = target.uid !== undefined && target.uid === names.me;
  const user = (): Part =>
    isMe
      ? { name: "you", to: `/users/${target.uid}` }
      : thing("user", names.user, target.uid, (id) => `/users/${id}`, target.name);
  const users = (what: string): Part[] => (isMe ? [`your ${what}`] : [`the ${what} of `, user()]);
  const own = by !== undefined && by === names.me ? "your" : "their";
  const group = (gid = target.gid): Part => groupPart(gid, names);
  const pool = (): Part => thing("pool", names.pool, target.mpid, undefined, undefined);
  const made = (what: string): Part => ({ name: `${what} ${target.name ?? ""}`.trim() });
  const right = target.permission ? permissionWords(permissions ?? [target.permission]) : "all permissions";
  const host = (): Part => {
    const name = named(names.host, target.host);
    return { name: `host ${name ?? target.host ?? ""}`.trim(), to: name ? `/hosts/${target.host}` : "/hosts" };
  };
  const cloned = (): Part[] => (target.cloned === undefined ? [] : [", as a clone of ", vmOf(target.cloned)]);
  const item = (): Part =>
    target.vmid !== undefined
      ? vm()
      : target.mid !== undefined
        ? medium(target.name)
        : target.gid !== undefined
          ? thing("group", names.group, target.gid, (id) => `/groups/${id}`, target.name)
          : "something";
  const { given, others } = wordsOf(target.changes, names);
  const forced = target.changes?.force === "true";
  switch (operation) {
    case "sign_in":
    case "open_session":
      return ["signed in", "sign in"];
    case "sign_out":
    case "end_session":
      return ["signed out", "sign out"];
    case "renew":
    case "renew_session":
      return ["renewed the session", "renew the session"];
    case "show_session":
      return ["checked for a session", "continue a session that does not exist"];
    case "create_user":
      return ["created", "create", made("user")];
    case "remove_user":
      return ["removed", "remove", user()];
    case "change_user":
      if (target.gid !== undefined) return ["changed", "change", ...users("account"), ", whose home is ", group()];
      return target.uid === undefined
        ? [`changed ${own} own password`, `change ${own} own password`]
        : ["set", "set", ...users("password")];
    case "grant_permission":
      return ["granted", "grant", `${right} on `, group(), " to ", user()];
    case "revoke_permission":
      return ["revoked", "revoke", `${right} on `, group(), " from ", user()];
    case "create_group":
      return ["created", "create", made("group"), " under ", group(target.parent_gid)];
    case "delete_group":
      return ["deleted", "delete", group()];
    case "set_quota":
      return ["set the quota of", "set the quota of", group(), ...listed(" to ", given), ...listed(": ", others)];
    case "assign_pool":
      return [
        "assigned",
        "assign",
        pool(),
        " to ",
        group(),
        ...listed(": ", [...given, ...others, ...shareWords(target.changes)]),
      ];
    case "revoke_pool":
      return ["revoked", "revoke", pool(), " from ", group()];
    case "create_medium":
      return ["created", "create", made("medium"), " in ", group()];
    case "upload_medium":
    case "upload_resumable":
      return ["uploaded", "upload", made("medium"), " to ", group()];
    case "import_medium":
      return ["began to import", "import", medium(), " as ", made("medium"), " in ", group()];
    case "fetch_medium":
      return ["began to fetch", "fetch", made("medium"), " to ", group()];
    case "clone_medium":
      return ["began to clone", "clone", medium(), " as ", made("medium"), " in ", group()];
    case "download_medium":
      return ["downloaded", "download", medium()];
    case "end_upload":
      return ["ended the upload of", "end the upload of", medium()];
    case "move_medium": {
      const pooled = target.mpid === undefined ? [] : [" to ", pool()];
      const grouped = target.gid === undefined ? [] : [" to ", group()];
      return ["moved", "move", medium(), ...pooled, ...grouped];
    }
    case "convert_medium":
      return ["began to convert", "convert", medium()];
    case "alter_medium":
      return target.changes?.size && given.length + others.length === 1 && target.name === undefined
        ? ["grew", "grow", medium(), grownWords(target.changes.size)]
        : altered("medium", medium(), target, names);
    case "delete_medium":
      return ["deleted", "delete", medium()];
    case "create_vm":
      return ["created", "create", vmOf(target.vmid ?? about, target.name), " in ", group(), ...cloned()];
    case "alter_vm":
      return altered("VM", vm(), target, names);
    case "delete_vm":
      return ["deleted", "delete", vm(), ...(target.disks ? [` and its ${diskWords(target.disks)}`] : [])];
    case "set_vm_state": {
      const [from, to] = fromTo(target.state ?? "");
      // without force it is only asked: a guest need not do it
      if (to === "STOPPED") return forced ? ["forced", "force", vm(), " off"] : ["asked", "ask", vm(), " to shut down"];
      if (to === "RUNNING" && from === "PAUSED") return ["resumed", "resume", vm()];
      const [past, infinitive] = STATES[to] ?? ["set the state of", "set the state of"];
      return [past, infinitive, vm()];
    }
    case "clone_vm":
      return ["began to clone", "clone", vm(), " as ", made("VM"), " in ", group()];
    case "move_vm":
      return ["moved", "move", vm(), " to ", group()];
    case "move_vm_to_host":
      return ["began to move", "move", vm(), " to ", host()];
    case "drain_node":
      return ["began to move all VMs away from", "move all VMs away from", host()];
    case "restart_vm":
      return forced ? ["restarted", "restart", vm(), " by force"] : ["asked", "ask", vm(), " to restart"];
    case "reset_vm":
      return ["reset", "reset", vm()];
    case "choose_boot":
      return ["chose the next start of", "choose the next start of", vm()];
    case "open_console":
      return ["opened the console of", "open the console of", vm()];
    case "execute_in_guest":
      return ["ran a program in", "run a program in", vm()];
    case "set_guest_password":
      return ["set a password in", "set a password in", vm()];
    case "add_guest_keys":
      return ["added SSH keys in", "add SSH keys in", vm()];
    case "write_guest_file":
      return ["wrote a file in", "write a file in", vm()];
    case "freeze_guest":
      return ["froze the file systems of", "freeze the file systems of", vm()];
    case "thaw_guest":
      return ["thawed the file systems of", "thaw the file systems of", vm()];
    case "make_node_token":
      return ["created a token for", "create a token for", target.host === undefined ? "a host" : host()];
    case "join_node":
      return ["joined as", "join as", { name: `host ${target.name ?? ""}`.trim(), to: "/hosts" }];
    case "set_node": {
      const copies = fromTo(target.changes?.keeps_copy ?? "")[1];
      if (copies === "true") return ["began", "begin", "to keep copies of the database on ", host()];
      if (copies === "false") return ["ended", "end", "the copies of the database on ", host()];
      const duty = DUTIES[target.duty ?? ""];
      return duty ? [...duty, host()] : altered("host", host(), target, names);
    }
    case "remove_node":
      return ["removed", "remove", host()];
    case "set_fence":
      return ["set the fence agent of", "set the fence agent of", host()];
    case "remove_fence":
      return ["removed the fence agent of", "remove the fence agent of", host()];
    case "fence_node":
      return ["powered off", "power off", host()];
    case "blocklist_node":
      return ["kept", "keep", host(), " from its disks on RBD"];
    case "unblock_node":
      return ["let", "let", host(), " write to its disks on RBD again"];
    case "confirm_dead":
      return ["confirmed that", "confirm that", host(), " is off"];
    case "host_returned":
      return ["cleaned up", "clean up", host(), ", which has returned"];
    case "start_again":
      return ["started", "start", vm(), " again"];
    case "cancel_task":
      return ["cancelled", "cancel", "a task"];
    case "restore":
      return ["restored", "restore", item(), " from the trash"];
    case "empty_trash":
      return ["began to empty", "empty", "the trash"];
    case "purge":
      return ["permanently removed", "permanently remove", "an item of the trash"];
    default: {
      const sight = SIGHTS[operation];
      const about = aboutWhat(target, at, names);
      if (!sight) return other(operation, about);
      return [`saw ${sight}`, `see ${sight}`, ...(about ? ["of ", about] : [])];
    }
  }
}

/** "gave VM web 4 CPUs", "renamed a VM to web", "changed VM web: CPUs 2 → 4, attached data", "attached data to VM web". */
function altered(kind: string, what: Part, { name, changes = {} }: Target, names: Names): Phrase {
  const { given, others, renamed } = wordsOf(changes, names);
  // what it was called before is not recorded, and its present name may be a later one
  if (renamed && name !== undefined && given.length + others.length === 0)
    return [
      "renamed",
      "rename",
      `a ${kind} to `,
      typeof what === "object" && "name" in what ? { ...what, name } : { name },
    ];
  if (given.length > 0 && others.length === 0 && name === undefined)
    return ["gave", "give", what, ...listed(" ", given)];
  const all = [...given, ...others];
  const only = all.length === 1 && name === undefined && !changes.media?.includes(",") ? changes.media : undefined;
  const drive = changes.changed === "drives"; // it takes an empty drive, or leaves one
  if (only?.startsWith("+"))
    return [...(drive ? INSERTED : ATTACHED), mediumPart(only.slice(1), names), drive ? " into " : " to ", what];
  if (only?.startsWith("-")) return [...(drive ? EJECTED : DETACHED), mediumPart(only.slice(1), names), " from ", what];
  if (name !== undefined && all.length > 0)
    return ["changed", "change", what, ": the name ", { name }, ...listed(", ", all)];
  return ["changed", "change", what, ...listed(": ", all)];
}

const ATTACHED = ["attached", "attach"] as const;
const DETACHED = ["detached", "detach"] as const;
const INSERTED = ["inserted", "insert"] as const;
const EJECTED = ["ejected", "eject"] as const;

const diskWords = (disks: number): string => (disks === 1 ? "disk" : count(disks, "disk"));

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

const named = <Id>(nameOf: (id: Id) => string | undefined, id: Id | undefined): string | undefined =>
  id === undefined ? undefined : nameOf(id);

/** What was only looked at, or tried to: the history has it where it was refused. */
const SIGHTS: Record<string, string> = {
  explain: "who may do what",
  list_groups: "the groups",
  list_history: "the history",
  list_images: "the catalogue of images",
  list_media: "the media",
  list_nics: "the NICs of the host",
  list_nodes: "the hosts",
  list_pools: "the pools",
  list_sessions: "the sessions",
  list_tasks: "the tasks",
  list_trash: "the trash",
  list_uploads: "the uploads under way",
  list_users: "the users",
  list_vm_targets: "where the VM could move to",
  list_vms: "the VMs",
  read_log: "the console log",
  read_guest_file: "a file",
  search_screens: "the text on screens",
  show_group: "the members",
  show_guest: "what the guest agent reports",
  show_host: "the host",
  show_medium: "the details",
  show_node: "a host",
  show_quota: "the quota",
  show_screen: "the screen",
  show_task: "a task",
  show_user: "the permissions",
  test_fence: "whether a host is on",
  show_vm: "the settings",
  openmetrics: "the metrics for Prometheus",
  watch_events: "what changes",
  vm_command: "the command",
  vm_metrics: "the metrics",
  vms_usage: "what the VMs take",
  vm_state: "the state",
};

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

function groupPart(gid: number | undefined, names: Names): Part {
  if (gid === 0) return { name: ROOT_GROUP, to: "/groups/0" };
  return thing(
    "group",
    names.group,
    gid,
    (id) => `/groups/${id}`,
    gid === undefined ? undefined : names.deleted("group", gid),
  );
}

/** By its present name with its page; what is gone by the name that it had, or its number. */
function thing<Id extends string | number>(
  kind: string,
  nameOf: (id: Id) => string | undefined,
  id: Id | undefined,
  page: ((id: Id, name: string) => string) | undefined,
  former: string | undefined,
): Part {
  if (id === undefined) return former ? { name: `${kind} ${former}` } : kind;
  const name = nameOf(id);
  if (name === undefined) return { name: `${kind} ${former ?? shortId(id)}` };
  return { name: `${kind} ${name}`, to: page?.(id, name) };
}

const shortId = (id: string | number): string => (typeof id === "string" ? id.slice(0, 8) : String(id));
