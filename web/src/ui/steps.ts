/** The steps of a plan as sentences, and how many of each kind they are. */
import type { FieldChange, Plan, Step } from "@/api/schema";
import { bytes, count, mib } from "./format";
import { called } from "./permissions";
import { SETTINGS, type Setting } from "./vmSettings";

/** "…" is where what it is done with stands, if not at the end. */
const DONE: Partial<Record<Step["do"], string>> = {
  assign: "Assigns",
  cancel: "Cancels",
  change: "Changes",
  create: "Creates",
  delete: "Moves … to the trash",
  grant: "Gives",
  kill: "Forces … off",
  reset: "Resets",
  pause: "Pauses",
  purge: "Permanently deletes",
  restore: "Restores",
  resume: "Resumes",
  revoke: "Takes away",
  start: "Starts",
  stop: "Stops",
};

const KIND: Partial<Record<Step["kind"], string>> = {
  vm: "the VM",
  group: "the group",
  medium: "the medium",
  user: "the user",
  pool: "the pool",
};
/** Beside the settings of a VM. */
const FIELD: Record<string, string> = {
  vms: "VMs",
  forward_ports: "host ports for forwards",
  quota: "quota",
  write: "write",
  manage: "manage",
  gid: "group",
  home: "home group",
  mpid: "pool",
};

/** The names of groups and pools, by their ids. */
export interface StepNames {
  group: (gid: number) => string;
  pool: (mpid: number) => string;
}

export function sentence(step: Step, names: StepNames): string {
  const verb = step.do === "delete" && step.kind === "user" ? "Removes" : (DONE[step.do] ?? step.do);
  const what = `${KIND[step.kind] ?? step.kind} ${step.name}`;
  const start = verb.includes("…") ? verb.replace("…", () => what) : `${verb} ${what}`;
  const rights = step.changes?.find((one) => one.field === "permissions");
  if (rights && step.do === "revoke") return `Takes ${listed(rights.old)} from ${step.name}`;
  if (rights && step.do === "grant") return `Gives ${step.name} ${listed(rights.new)}`;
  const told = (step.changes ?? []).map((one) => changed(one, names)).filter(Boolean);
  return told.length > 0 ? `${start}: ${told.join(", ")}` : start;
}

function changed({ field, old, new: next }: FieldChange, names: StepNames): string {
  if (old === undefined && next === undefined) return wordOf(field);
  const from = old === undefined ? "" : `${value(field, old, names)} → `;
  return `${wordOf(field)} ${from}${value(field, next, names)}`;
}

const wordOf = (field: string): string =>
  FIELD[field] ?? SETTINGS[field as Setting]?.word ?? field.replaceAll("_", " ");

function value(field: string, it: unknown, names: StepNames): string {
  if (it === undefined || it === null) return field === "permissions" ? "none" : "no limit";
  if (field === "memory_mib" || field === "max_memory_mib") return mib(Number(it));
  if (field === "quota") return Number(it) === 0 ? "no limit" : bytes(Number(it));
  if (field === "gid" || field === "home") return names.group(Number(it));
  if (field === "mpid") return names.pool(Number(it));
  if (typeof it === "boolean") return it ? "yes" : "no";
  if (field === "permissions") return listed(it);
  return Array.isArray(it) ? it.join(" ") : String(it);
}

const listed = (names: unknown): string =>
  Array.isArray(names) ? names.map((one) => called(String(one))).join(", ") : "nothing";

const NOUN: Partial<Record<Step["kind"], [string, string]>> = {
  group: ["group", "groups"],
  vm: ["VM", "VMs"],
  medium: ["medium", "media"],
};

/** "2 groups, 12 VMs and 5 media" of what would be deleted. */
export function summed(plan: Plan): string {
  const gone = plan.steps.filter((step) => step.do === "delete" || step.do === "purge");
  const parts = (["group", "vm", "medium"] as const).flatMap((kind) => {
    const number = gone.filter((step) => step.kind === kind).length;
    const [one, several] = NOUN[kind] ?? [kind, kind];
    return number > 0 ? [count(number, one, several)] : [];
  });
  return parts.length < 2 ? (parts[0] ?? "nothing") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`;
}
