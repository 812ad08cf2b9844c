/** Hosts as people speak of them, and as the command line takes them. */
import type { NodeInfo, TaskInfo } from "@/api/schema";
import type { Tone } from "@/ui/labels";
import { idWord, MISREAD } from "@/ui/vmCli";

export type Duty = NodeInfo["duty"];

export const hostWord = (host: NodeInfo): string => (MISREAD.test(host.name) ? idWord(host.host) : host.name);

const DUTY: Record<Duty, string> = { active: "Active", draining: "Draining", maintenance: "Maintenance" };

export const dutyWord = (duty: Duty): string => DUTY[duty];

/** How it is: what it is wanted for counts only while it answers. */
export function hostStatus(host: NodeInfo): { tone: Tone; word: string } {
  if (host.state === "dead") return { tone: "bad", word: "Confirmed dead" };
  if (host.state === "unreachable") return { tone: "bad", word: "Unreachable" };
  if (host.state === "joining") return { tone: "busy", word: "Joining" };
  return host.duty === "active" ? { tone: "ok", word: "Online" } : { tone: "warn", word: dutyWord(host.duty) };
}

export interface DutyChange {
  duty: Duty;
  verb: string;
  /** The verb of the command line. */
  command: string;
  title: (name: string) => string;
  about: string;
  pending: (name: string) => string;
  done: (name: string) => string;
}

/** What somebody wants of a host. */
export type HostWish =
  | DutyChange
  | "edit"
  | "copy"
  | "again"
  | "remove"
  | "confirm"
  | "blocklist"
  | "fence"
  | "fencing";

export const CHANGES: Record<Duty, DutyChange> = {
  draining: {
    duty: "draining",
    verb: "Drain",
    command: "drain",
    title: (name) => `Drain ${name}?`,
    about: "It gets no new VMs. Its own keep running, and can be stopped and started.",
    pending: (name) => `Draining ${name}`,
    done: (name) => `${name} gets no new VMs`,
  },
  maintenance: {
    duty: "maintenance",
    verb: "Enter maintenance",
    command: "maintenance",
    title: (name) => `Put ${name} into maintenance?`,
    about: "No VM starts on it. Those that run keep running: stop them before you switch it off.",
    pending: (name) => `Putting ${name} into maintenance`,
    done: (name) => `${name} is in maintenance`,
  },
  active: {
    duty: "active",
    verb: "Activate",
    command: "activate",
    title: (name) => `Activate ${name}?`,
    about: "It gets new VMs again, and its own can start.",
    pending: (name) => `Activating ${name}`,
    done: (name) => `${name} is active`,
  },
};

/** Of a host that gets no new VMs already. */
export const MOVE_AWAY: DutyChange = {
  duty: "draining",
  verb: "Move its VMs away",
  command: "drain",
  title: (name) => `Move the VMs of ${name} to other hosts?`,
  about: "Two at a time, running or stopped. The task says which cannot move, and why.",
  pending: (name) => `Moving the VMs of ${name} away`,
  done: (name) => `VMs are being moved off ${name}`,
};

/** What it can be given to do, in the order of the menu. */
export const changesOf = (host: NodeInfo): DutyChange[] =>
  (["active", "draining", "maintenance"] as const).flatMap((one) =>
    one !== host.duty ? [CHANGES[one]] : one !== "active" && host.state === "online" && host.vms > 0 ? [MOVE_AWAY] : [],
  );

/** Their names, of many the first. */
export function namesOf(vms: readonly { name: string }[], most = 10): string {
  const named = vms.slice(0, most).map((one) => one.name);
  return vms.length > most ? `${named.join(", ")} and ${vms.length - most} more` : named.join(", ");
}

/** One per line, as name=value, and what is wrong with them. */
function pairs(text: string, named: RegExp): [Record<string, string>, string | undefined] {
  const found: Record<string, string> = {};
  for (const line of text.split("\n").filter((one) => one.trim())) {
    const [, name, value] = /^\s*([^=\s]+)\s*=(.*)$/.exec(line) ?? [];
    if (name === undefined || value === undefined || !named.test(name))
      return [found, `Write “${line.trim()}” as name=value.`];
    found[name] = value.trim();
  }
  return [found, undefined];
}

/** The options of a fence agent. */
export const fenceOptions = (text: string) => pairs(text, /^[a-z][a-z0-9_.]*$/);

export const hostLabels = (text: string) => pairs(text, /^[A-Za-z0-9]([A-Za-z0-9._/-]*[A-Za-z0-9])?$/);

/** `disk=ssd rack=a` */
export const labelText = (labels: Record<string, string>, between = " "): string =>
  Object.entries(labels)
    .map(([name, value]) => `${name}=${value}`)
    .join(between);

/** A label that is no more is set to nothing, so there is no line for one whose value is nothing. */
export function editCli(
  host: NodeInfo,
  { name, address, labels }: { name?: string; address?: string; labels?: Record<string, string> },
): string[] | undefined {
  const gone = labels === undefined ? [] : Object.keys(host.labels).filter((one) => !(one in labels));
  const set = Object.entries(labels ?? {}).filter(([one, value]) => host.labels[one] !== value);
  if (set.some(([, value]) => value === "")) return undefined;
  return [
    ...["velocity", "node", "set", hostWord(host)],
    ...(name === undefined ? [] : ["--name", name]),
    ...(address === undefined ? [] : ["--address", address]),
    ...set.flatMap(([one, value]) => ["--label", `${one}=${value}`]),
    ...gone.flatMap((one) => ["--label", `${one}=`]),
  ];
}

/** What is secret is asked for by the command line. */
export const SECRET = /pass|key|token|community|_kg/;

export const fenceCli = (host: NodeInfo, agent: string, options: Record<string, string>): string[] => [
  ...["velocity", "node", "fence", hostWord(host), "--agent", agent],
  ...Object.entries(options).flatMap(([name, value]) => ["--option", SECRET.test(name) ? name : `${name}=${value}`]),
];

/** The host that has joined since the token was made, for the first time or again. */
export function newcomer(before: readonly NodeInfo[], now: readonly NodeInfo[]): NodeInfo | undefined {
  const joined = new Map(before.map((one) => [one.host, one.joined]));
  return now.find((one) => !joined.has(one.host) || joined.get(one.host) !== one.joined);
}

/** The drain of a host that is under way, or has left some of its VMs there. */
export function lastDrain(host: NodeInfo, tasks: readonly TaskInfo[]): TaskInfo | undefined {
  const drains = tasks.filter((one) => one.kind === "drain" && one.name === host.name);
  const last = drains.reduce<TaskInfo | undefined>((a, b) => (a && a.tid > b.tid ? a : b), undefined);
  const left = last?.state === "FAILED" && host.duty !== "active" && host.vms > 0;
  return last?.state === "RUNNING" || left ? last : undefined;
}
