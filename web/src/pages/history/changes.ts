/** What a change set, in words, of the settings that the server wrote down: `cpus=4 autostart=true changed=media+notes`. */
import { bytes, count, mib } from "@/ui/format";
import { SETTINGS, type Setting } from "@/ui/vmSettings";

/** By the API's name; `changed` has the names of those whose value is not told. */
export type Changes = Readonly<Record<string, string>>;

export interface Changed {
  /** What it has now: "4 CPUs". */
  given: string[];
  /** What else is otherwise: "NICs", "start with the server: on". */
  others: string[];
  /** Whether the name is: older servers did not write that down, and a name alone could be its present one. */
  renamed: boolean;
}

type Words = (value: string) => string;

const live = (amount: Words): Words => {
  return (value) => (value === "0" ? "no more" : `up to ${amount(value)}`);
};
const cpus: Words = (value) => count(Number(value), "CPU");
const memory: Words = (value) => `${mib(Number(value))} of memory`;

const GIVEN: Record<string, Words> = {
  cpus,
  memory_mib: memory,
  size: (value) => bytes(Number(value)),
  vms: (value) => count(Number(value), "VM"),
  forward_ports: (value) => count(Number(value), "forwarded port"),
  quota: (value) => (value === "0" ? "no limit of its own" : bytes(Number(value))),
};
const OTHERS: Record<string, Words> = {
  max_cpus: (value) => `while it runs ${live(cpus)(value)}${value === "0" ? " CPUs" : ""}`,
  max_memory_mib: (value) => `while it runs ${live(memory)(value)}${value === "0" ? " memory" : ""}`,
  start_order: (value) => `${value === "0" ? "no place" : `place ${value}`} in the order of starts`,
  readonly: (value) => (value === "true" ? "read-only" : "writable"),
};
const SWITCHES = ["autostart", "ha", "balloon", "rosetta"] as const;
const ON = new Set(["true", "restart"]);

/** What is no setting of a VM. */
const ELSE: Record<string, string> = {
  machine_type: "machine type",
  new_instance: "a new instance for cloud-init",
};

/** What can stand in a target, beside ids and names. */
export const NAMES: ReadonlySet<string> = new Set([
  ...Object.keys(GIVEN),
  ...Object.keys(OTHERS),
  ...SWITCHES,
  ...["write", "manage", "keeps_copy", "changed"],
]);

export function changeWords(changes: Changes): Changed {
  const said = (words: Record<string, Words>) =>
    Object.entries(words).flatMap(([name, word]) => (changes[name] === undefined ? [] : [word(changes[name])]));
  const switches = SWITCHES.flatMap((name) =>
    changes[name] === undefined ? [] : [`${SETTINGS[name].word}: ${ON.has(changes[name]) ? "on" : "off"}`],
  );
  const changed = changes.changed?.split("+") ?? [];
  const unsaid = changed.filter((name) => name !== "name").map(wordOf);
  return { given: said(GIVEN), others: [...said(OTHERS), ...switches, ...unsaid], renamed: changed.includes("name") };
}

const wordOf = (name: string): string => SETTINGS[name as Setting]?.word ?? ELSE[name] ?? name.replaceAll("_", " ");
