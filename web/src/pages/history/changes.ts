/** What a change set, in words, of what the server wrote down: `cpus=2->4 media=+MID autostart=false->true changed=notes`. */
import { bytes, count, mib } from "@/ui/format";
import { SETTINGS, type Setting } from "@/ui/vmSettings";
import type { Part } from "./parts";

/** By the API's name; `changed` has the names of those whose value is not told. */
export type Changes = Readonly<Record<string, string>>;

export interface Changed {
  /** What it has now: "4 CPUs". */
  given: Part[][];
  /** What else is otherwise: "CPUs 2 → 4", "start with the server: on". */
  others: Part[][];
  /** Whether the name is: older servers did not write that down, and a name alone could be its present one. */
  renamed: boolean;
}

type Words = (value: string) => string;

const live = (amount: Words): Words => {
  return (value) => (value === "0" ? "no more" : `up to ${amount(value)}`);
};
const cpus: Words = (value) => count(Number(value), "CPU");
const memory: Words = (value) => `${mib(Number(value))} of memory`;

interface Given {
  /** "4 CPUs" */
  now: Words;
  /** What stands before "2 → 4", and each of these. */
  word: string;
  each: Words;
}

const amount = (value: string) => Number(value).toLocaleString();
const GIVEN: Record<string, Given> = {
  cpus: { now: cpus, word: "CPUs", each: amount },
  memory_mib: { now: memory, word: "memory", each: (value) => mib(Number(value)) },
  size: { now: (value) => bytes(Number(value)), word: "size", each: (value) => bytes(Number(value)) },
  vms: { now: (value) => count(Number(value), "VM"), word: "VMs", each: amount },
  forward_ports: { now: (value) => `host ports ${value}`, word: "host ports", each: (value) => value },
  quota: {
    now: (value) => (value === "0" ? "no limit of its own" : bytes(Number(value))),
    word: "quota",
    each: (value) => (value === "0" ? "no limit" : bytes(Number(value))),
  },
};
const OTHERS: Record<string, Words> = {
  max_cpus: (value) => `while it runs ${live(cpus)(value)}${value === "0" ? " CPUs" : ""}`,
  max_memory_mib: (value) => `while it runs ${live(memory)(value)}${value === "0" ? " memory" : ""}`,
  start_order: (value) => `${value === "0" ? "no place" : `place ${value}`} in the order of starts`,
  readonly: (value) => (value === "true" ? "read-only" : "writable"),
};
const SWITCHES = ["autostart", "ha", "balloon", "rosetta"] as const;
const ON = new Set(["true", "restart"]);
const LISTS = ["media", "nics", "displays", "forwards"] as const;

/** What is no setting of a VM, or has another word here. */
const ELSE: Record<string, string> = {
  boot_order: "boot order",
  firmware: "firmware",
  hardware: "hardware version",
  machine_type: "machine type",
  new_instance: "a new instance for cloud-init",
};

/** What can stand in a target, beside ids and names. */
export const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(GIVEN),
  ...Object.keys(OTHERS),
  ...SWITCHES,
  ...LISTS,
  ...["write", "manage", "keeps_copy", "changed", "force"],
]);

/** "2->4": what it was, if that is known, and what it is. */
export function fromTo(value: string): [from: string | undefined, to: string] {
  const at = value.indexOf("->");
  return at < 0 ? [undefined, value] : [value.slice(0, at), value.slice(at + 2)];
}

/** `medium` gives the name of one by its id. */
export function changeWords(changes: Changes, medium: (mid: string) => Part): Changed {
  const given: Part[][] = [];
  const others: Part[][] = [];
  for (const [name, { now, word, each }] of Object.entries(GIVEN)) {
    if (changes[name] === undefined) continue;
    const [from, to] = fromTo(changes[name]);
    const limit = (value: string) => (value === "none" ? "no limit" : each(value));
    const first = name === "quota" && from === "none"; // it had nothing of the pool
    if (from === undefined || first) given.push([now(to)]);
    else others.push([`${word} ${limit(from)} → ${limit(to)}`]);
  }
  for (const [name, word] of Object.entries(OTHERS))
    if (changes[name] !== undefined) others.push([word(fromTo(changes[name])[1])]);
  for (const name of SWITCHES)
    if (changes[name] !== undefined)
      others.push([`${SETTINGS[name].word}: ${ON.has(fromTo(changes[name])[1]) ? "on" : "off"}`]);
  for (const item of changes.media?.split(",") ?? []) others.push(mediumWords(item, medium));
  for (const [name, { noun, word }] of Object.entries(ITEMS))
    for (const item of changes[name]?.split(",") ?? []) others.push([itemWords(item, noun, word)]);
  const changed = changes.changed?.split("+") ?? [];
  // A disc that is changed leaves or takes an empty drive.
  const unsaid = changed.filter((name) => name !== "name" && !(name === "drives" && changes.media));
  return {
    given,
    others: [...others, ...unsaid.map((name) => [wordOf(name)])],
    renamed: changed.includes("name"),
  };
}

function mediumWords(item: string, medium: (mid: string) => Part): Part[] {
  const it = medium(item.slice(1));
  if (item.startsWith("+")) return ["attached ", it];
  return item.startsWith("-") ? ["detached ", it] : ["how ", it, " is attached"];
}

const nic: Words = (value) => {
  const [type, ...rest] = value.split(":");
  const host = rest.find((one) => one !== "down");
  const what = type === "nat" ? "NAT" : `bridge on host NIC ${host}`;
  return rest.includes("down") ? `${what}, cable unplugged` : what;
};
const port: Words = (value) => value.replace(/:(?=\d+(?:\/udp)?$)/, " to ").replace("/udp", ", UDP");

const ITEMS: Record<Exclude<(typeof LISTS)[number], "media">, { noun: string; word: Words }> = {
  nics: { noun: "NIC", word: nic },
  displays: { noun: "display", word: (value) => value.replace("x", "×") },
  forwards: { noun: "port forward", word: port },
};

/** "NIC added (NAT)", "display 800×600 → 1024×768". */
function itemWords(item: string, noun: string, word: Words): string {
  const [from, to] = fromTo(item);
  if (from !== undefined) return `${noun} ${word(from)} → ${word(to)}`;
  const done = { "+": "added", "-": "removed" }[item.charAt(0)] ?? "changed";
  return `${noun} ${done} (${word(item.slice(1))})`;
}

const wordOf = (name: string): string => ELSE[name] ?? SETTINGS[name as Setting]?.word ?? name.replaceAll("_", " ");
