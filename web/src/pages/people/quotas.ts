/** Limits of a group: what is typed, what it means, and what may at most be asked for. */
import type { Quota } from "@/api/schema";
import { MEMORY_HELP, memoryMib } from "@/ui/amounts";
import { count, mib } from "@/ui/format";
import { groupWord } from "./commands";

export const LIMITED = ["cpus", "memory_mib", "vms"] as const;
export type Limited = (typeof LIMITED)[number];

export const TITLES: Record<Limited, string> = { cpus: "CPUs", memory_mib: "Memory", vms: "Virtual machines" };

export const amount = (name: Limited, value: number): string =>
  name === "memory_mib" ? mib(value) : name === "cpus" ? count(value, "CPU") : count(value, "VM");

export type Typed = Record<Limited, string>;

const MEMORY = [
  [2 ** 20, "TiB"],
  [2 ** 10, "GiB"],
  [1, "MiB"],
] as const;

/** A limit as it is typed: exact, not rounded. */
export function shown(name: Limited, value: number | undefined): string {
  if (value === undefined) return "";
  if (name !== "memory_mib") return String(value);
  const [size, unit] = MEMORY.find(([one]) => value > 0 && value % one === 0) ?? [1, "MiB"];
  return `${value / size} ${unit}`;
}

export const typedOf = (limits: Quota): Typed => ({
  cpus: shown("cpus", limits.cpus),
  memory_mib: shown("memory_mib", limits.memory_mib),
  vms: shown("vms", limits.vms),
});

export type Read = { value?: number } | { wrong: string };

/** Empty: no limit. */
export function read(name: Limited, text: string): Read {
  if (text.trim() === "") return {};
  if (name !== "memory_mib") {
    const value = Number(text.trim());
    return /^\d+$/.test(text.trim()) && Number.isSafeInteger(value)
      ? { value }
      : { wrong: "Enter a whole number, or nothing for no limit." };
  }
  if (/^\s*0+\s*([kmgtp]i?b?)?\s*$/i.test(text)) return { value: 0 };
  const value = memoryMib(text);
  return value === undefined ? { wrong: `${MEMORY_HELP} Nothing: no limit.` } : { value };
}

export interface Reading {
  limits: Quota;
  wrong: Partial<Record<Limited, string>>;
}

/** `most`: the limits of the groups above, the least of each. */
export function readAll(typed: Typed, most: Quota = {}): Reading {
  const reading: Reading = { limits: {}, wrong: {} };
  for (const name of LIMITED) {
    const one = read(name, typed[name]);
    const top = most[name];
    if ("wrong" in one) reading.wrong[name] = one.wrong;
    else if (one.value !== undefined && top !== undefined && one.value > top)
      reading.wrong[name] = `At most ${amount(name, top)}, the limit of a group above.`;
    else if (one.value !== undefined) reading.limits[name] = one.value;
  }
  return reading;
}

/** `had`: the limits that are there, which the command line keeps unless it is told. */
export function quotaLine(gid: number, path: string, limits: Quota, had: Quota = {}): string[] {
  const memory = limits.memory_mib;
  const ports = limits.forward_ports ?? (had.forward_ports === undefined ? undefined : "none");
  return [
    ...["velocity", "group", "quota", groupWord(path, gid)],
    ...["--cpus", limits.cpus === undefined ? "none" : String(limits.cpus)],
    ...[
      "--memory",
      memory === undefined ? "none" : memory > 0 && memory % 1024 === 0 ? `${memory / 1024}G` : `${memory}M`,
    ],
    ...["--vms", limits.vms === undefined ? "none" : String(limits.vms)],
    ...(ports === undefined ? [] : ["--forward-ports", ports]),
  ];
}
