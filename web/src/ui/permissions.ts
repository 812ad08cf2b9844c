/** The permissions by area, the sets that people give together, and what differs between two lists of them. */
import type { Grant } from "@/api/schema";

export interface Permission {
  /** Without `velocity.` */
  name: string;
  about: string;
}

export interface Area {
  title: string;
  permissions: readonly Permission[];
}

const one = (name: string, about: string): Permission => ({ name, about });

export const AREAS: readonly Area[] = [
  {
    title: "Users",
    permissions: [
      one("user.view", "View the group's members and their permissions"),
      one("user.list", "List all users by name"),
      one("user.create", "Create users"),
      one("user.assign", "Grant users permissions that one has here"),
      one("user.revoke", "Revoke permissions of users"),
      one("user.remove", "Remove users who are members of the group"),
    ],
  },
  {
    title: "Groups",
    permissions: [
      one("group.view", "View the group, its members and its quota"),
      one("group.create", "Create subgroups and set their quotas"),
      one("group.remove", "Delete subgroups with everything in them"),
    ],
  },
  {
    title: "Pools",
    permissions: [
      one("pool.list", "List the media pools that the group may use"),
      one("pool.assign", "Assign media pools to the group"),
      one("pool.revoke", "Take media pools away from the group"),
    ],
  },
  {
    title: "Media",
    permissions: [
      one("media.list", "List the group's media and attach them to VMs"),
      one("media.create", "Create, upload and change media"),
      one("media.remove", "Delete media"),
      one("media.write", "Attach the group's media writable to VMs of other groups"),
    ],
  },
  {
    title: "Virtual machines",
    permissions: [
      one("vm.view", "View virtual machines and their states"),
      one("vm.state", "Start, stop, pause and resume virtual machines"),
      one("vm.interact", "Use the consoles of virtual machines"),
      one("vm.guest", "Act inside virtual machines through their guest agents"),
      one("vm.create", "Create virtual machines"),
      one("vm.alter", "Change virtual machines"),
      one("vm.remove", "Delete virtual machines"),
    ],
  },
  {
    title: "Host",
    permissions: [
      one("nic.list", "List the host NICs that VMs can be bridged to"),
      one("nic.trust", "Let VMs be routers and DHCP servers of the networks that they are bridged to"),
      one("host.view", "View the host: its load, memory, pools and hypervisor"),
      one("host.reach", "Fetch media from addresses that are not public: the host's own, and those of its networks"),
      one("node.manage", "Add, drain and remove hosts; counts on the root group only"),
    ],
  },
];

export const ALL: readonly string[] = AREAS.flatMap((area) => area.permissions.map((it) => it.name));

const VIEW = ["user.view", "group.view", "pool.list", "media.list", "vm.view"];
const OPERATE = [...VIEW, "vm.state", "vm.interact"];
const MAKE = [...OPERATE, "vm.create", "vm.alter", "vm.remove", "media.create", "media.remove", "nic.list"];

export interface NamedSet {
  name: string;
  about: string;
  permissions: readonly string[];
}

/** The same names as on the command line. */
export const SETS: readonly NamedSet[] = [
  { name: "viewer", about: "sees everything in the group", permissions: VIEW },
  { name: "operator", about: "sees everything, and starts, stops and uses virtual machines", permissions: OPERATE },
  {
    name: "maker",
    about: "sees and uses everything, and creates, changes and deletes virtual machines and media",
    permissions: MAKE,
  },
  { name: "admin", about: "does everything, and manages members, pools and subgroups", permissions: ALL },
];

/** What each allows, in words. */
export const ABOUT = new Map(AREAS.flatMap((area) => area.permissions.map((one) => [one.name, one.about])));

export const short = (name: string): string => name.replace(/^velocity\./, "");
export const long = (name: string) => (name.startsWith("velocity.") ? name : `velocity.${name}`) as Grant["permission"];

/** As it is called where people read of it: “Change virtual machines”. */
export const called = (name: string): string => `“${ABOUT.get(short(name)) ?? short(name)}”`;

/** In the order of the areas; what is not known here comes last. */
export function inOrder(names: Iterable<string>): string[] {
  const place = (name: string) => (ALL.includes(name) ? ALL.indexOf(name) : ALL.length);
  return [...new Set([...names].map(short))].sort((a, b) => place(a) - place(b) || a.localeCompare(b));
}

const sameAs = (a: readonly string[], b: ReadonlySet<string>): boolean =>
  a.length === b.size && a.every((name) => b.has(name));

/** The set that these are exactly. */
export function exactly(names: Iterable<string>): NamedSet | undefined {
  const held = new Set([...names].map(short));
  return SETS.find((set) => sameAs(set.permissions, held));
}

/** The largest set that is wholly held, and what is held besides. */
export function described(names: Iterable<string>): { set?: NamedSet; rest: string[] } {
  const held = inOrder(names);
  const set = SETS.findLast((it) => it.permissions.every((name) => held.includes(name)));
  return { ...(set ? { set } : {}), rest: held.filter((name) => !set?.permissions.includes(name)) };
}

/** As few words as the command line needs for them. */
export function words(names: Iterable<string>): string[] {
  const set = exactly(names);
  return set ? [set.name] : inOrder(names);
}

export interface Change {
  verb: "grant" | "revoke";
  permission: string;
}

/** From what is held to what is wanted; what lets oneself take the rest away is taken last. */
export function changes(held: Iterable<string>, wanted: Iterable<string>): Change[] {
  const [before, after] = [new Set([...held].map(short)), new Set([...wanted].map(short))];
  const given = inOrder([...after].filter((name) => !before.has(name)));
  const taken = inOrder([...before].filter((name) => !after.has(name)));
  taken.sort((a, b) => Number(a === "user.revoke") - Number(b === "user.revoke"));
  return [
    ...given.map((permission): Change => ({ verb: "grant", permission })),
    ...taken.map((permission): Change => ({ verb: "revoke", permission })),
  ];
}
