/** The settings of a VM while they are edited: what differs, what somebody else has changed meanwhile, what is wrong. */
import { Display as DisplayLimits, Forward as ForwardLimits, CreateVm as Limits } from "@/api/limits";
import type { AlterVm } from "@/api/schema";
import { memoryMib } from "@/ui/amounts";
import { type CloudInitDraft, canonicalCloudInit, cloudInitBody, cloudInitProblems, masked } from "@/ui/cloudInit";
import { forwardText } from "@/ui/forwards";
import { nameProblem } from "@/ui/problems";
import { vmWords } from "@/ui/vmCli";
import { pickSettings, SETTINGS, type Setting, type VmSettings } from "@/ui/vmSettings";

export type Settings = Omit<VmSettings, "cloud_init"> & {
  name: string;
  cloud_init: CloudInitDraft;
  /** Asked for with the next save. */
  new_instance?: true | undefined;
};
export type Field = keyof Settings;
/** Memory is there as typed: "2 GiB"; no maximum is no text. */
export type Draft = Omit<Settings, "memory_mib" | "max_memory_mib"> & { memory: string; maxMemory: string };

const FIELDS = ["name", ...Object.keys(SETTINGS), "new_instance"] as readonly Field[];

export const titleOf = (field: Field): string => {
  if (field === "new_instance") return "Configure the guest anew";
  return field === "name" ? "Name" : SETTINGS[field].title;
};

/** Whether it takes effect at once also while it runs. */
export const isAtOnce = (field: Field): boolean =>
  field === "name" || (field !== "new_instance" && !SETTINGS[field as Setting].waits);

export function draftOf(settings: Settings): Draft {
  const { memory_mib, max_memory_mib, ...others } = pickSettings(settings);
  const maxMemory = max_memory_mib ? memoryText(max_memory_mib) : "";
  const kept = { ...others, name: settings.name, memory: memoryText(memory_mib), maxMemory };
  return settings.new_instance ? { ...kept, new_instance: true } : kept;
}

/** Whole, so that nothing is lost by looking at it: 1536 MiB, 2 GiB. */
export const memoryText = (mib: number): string => (mib % 1024 === 0 ? `${mib / 1024} GiB` : `${mib} MiB`);

const settingsOf = (draft: Draft): Settings => {
  const { memory, maxMemory, ...others } = draft;
  const max_memory_mib = maxMemory.trim() === "" ? 0 : (memoryMib(maxMemory) ?? Number.NaN);
  return { ...others, memory_mib: memoryMib(memory) ?? Number.NaN, max_memory_mib };
};

/** What the draft has otherwise than `base`: the body of the change. */
export function changesOf(base: Settings, draft: Draft): Partial<Settings> {
  return differences(base, settingsOf(draft));
}

/** The fields of `after` that `before` has otherwise. */
export function differences(before: Settings, after: Settings): Partial<Settings> {
  const found = FIELDS.filter((field) => canonical(field, before[field]) !== canonical(field, after[field]));
  return Object.fromEntries(found.map((field) => [field, after[field]]));
}

/** The limits of a disk, as the API names them. */
const LIMITS = ["iops", "read_iops", "write_iops", "bytes", "read_bytes", "write_bytes"] as const;

/** Equal to the server is equal here: what is absent has its default. */
function canonical(field: Field, value: Settings[Field]): string | undefined {
  if (field === "cloud_init") return canonicalCloudInit(value as CloudInitDraft);
  if (!Array.isArray(value)) return JSON.stringify(value);
  return JSON.stringify(
    value.map((one) => {
      if (typeof one === "string") return one;
      if ("mid" in one)
        return [
          ...[one.mid, one.mode, one.readonly ?? false, one.cache ?? null, one.detect_zeroes ?? false],
          ...[one.sector_size ?? null, one.boot ?? 0, LIMITS.map((it) => one.limits?.[it] ?? 0)],
        ];
      if ("type" in one)
        return [
          ...[one.type, one.host ?? null, one.trusted ?? false, one.id ?? null, one.mac ?? null],
          ...[one.link ?? "up", one.boot ?? 0],
        ];
      if ("host_port" in one) return [one.host_port, one.guest_port, one.protocol ?? "tcp", one.host_address || null];
      if (!("name" in one)) return [one.mode];
      return [one.name, one.width, one.height, one.ppi ?? 96];
    }),
  );
}

/** The body of a request that makes these changes; `shown`: for people, without secrets. */
export function bodyOf(changes: Partial<Settings>, shown = false): Partial<AlterVm> {
  const { cloud_init, ...others } = changes;
  if (!cloud_init) return others;
  const body = cloudInitBody(cloud_init);
  return { ...others, cloud_init: shown ? masked(body) : body };
}

/** The draft over what is there now: own changes stay, all else is as it has become. */
export function rebased(base: Settings, draft: Draft, now: Settings): Draft {
  return draftOf({ ...now, ...changesOf(base, draft) });
}

const CPU_MODEL = new RegExp(Limits.cpu.pattern);

function numberProblem(value: number, limits: { minimum: number; maximum: number }, unit = ""): string | undefined {
  const { minimum, maximum } = limits;
  if (Number.isInteger(value) && value >= minimum && value <= maximum) return undefined;
  return `${minimum} to ${maximum.toLocaleString()}${unit}.`;
}

/** What is wrong, by the field as the server names it. */
export function problemsOf(draft: Draft): Record<string, string> {
  const problems: Record<string, string> = {};
  const name = nameProblem(draft.name);
  if (name) problems.name = name;
  if (!Number.isInteger(draft.cpus) || draft.cpus < Limits.cpus.minimum) problems.cpus = "A VM has at least 1 CPU.";
  if (memoryMib(draft.memory) === undefined) problems.memory_mib = "Enter an amount such as 512 MiB or 2 GiB.";
  if (draft.max_cpus !== 0 && !(draft.max_cpus >= draft.cpus))
    problems.max_cpus = "At least as many as it has, or nothing.";
  const { memory_mib, max_memory_mib } = settingsOf(draft);
  if (max_memory_mib !== 0 && !(max_memory_mib >= memory_mib))
    problems.max_memory_mib = "At least as much as it has, such as 4 GiB, or nothing.";
  const order = numberProblem(draft.start_order, Limits.start_order);
  if (order) problems.start_order = order;
  if (!CPU_MODEL.test(draft.cpu)) problems.cpu = "For example best, host or EPYC: letters, digits, dots, - and _.";
  const note = (index: number, field: string, problem: string | undefined) => {
    if (problem) problems[`displays[${index}].${field}`] = problem;
  };
  Object.assign(problems, cloudInitProblems(draft.cloud_init));
  if (new TextEncoder().encode(draft.notes).length > Limits.notes.maxBytes)
    problems.notes = "Notes can have at most 8 KiB.";
  const seen = new Set<string>();
  draft.displays.forEach((display, index) => {
    note(
      index,
      "name",
      nameProblem(display.name) ?? (seen.has(display.name) ? "Another display already has this name." : undefined),
    );
    seen.add(display.name);
    for (const side of ["width", "height"] as const)
      note(index, side, numberProblem(display[side], DisplayLimits[side], " pixels"));
    note(index, "ppi", numberProblem(display.ppi ?? 96, DisplayLimits.ppi));
  });
  draft.nics.forEach((nic, index) => {
    if (nic.type === "BRIDGE" && nic.host === undefined)
      problems[`nics[${index}].host`] = "Choose the host NIC to bridge to.";
  });
  draft.forwards.forEach((one, index) => {
    for (const side of ["host_port", "guest_port"] as const) {
      const problem = numberProblem(one[side], ForwardLimits[side]);
      if (problem) problems[`forwards[${index}].${side}`] = problem;
    }
  });
  if (draft.forwards.length > 0 && !draft.nics.some((nic) => nic.type === "NAT"))
    problems.forwards = "Port forwards need a NAT NIC: add one, or remove the forwards.";
  return problems;
}

/** The command line of a change; undefined where it has no option for it. */
export function cliOf(
  vm: { name: string; gid: number; vmid: number },
  changes: Partial<Settings>,
): string[] | undefined {
  if (changes.cloud_init || changes.rosetta !== undefined || changes.displays?.some((one) => (one.ppi ?? 96) !== 96))
    return undefined;
  const line: string[] = [];
  const add = (option: string, words: string[] | undefined) => {
    for (const word of words?.length === 0 ? ["none"] : (words ?? [])) line.push(option, word);
  };
  if (changes.name !== undefined) line.push("--name", changes.name);
  if (changes.cpus !== undefined) line.push("--cpus", String(changes.cpus));
  if (changes.memory_mib !== undefined) line.push("--memory", `${changes.memory_mib}M`);
  if (changes.max_cpus !== undefined) line.push("--max-cpus", String(changes.max_cpus));
  if (changes.max_memory_mib !== undefined) line.push("--max-memory", `${changes.max_memory_mib}M`);
  add(
    "--display",
    changes.displays?.map((one) => `${one.name}=${one.width}x${one.height}`),
  );
  add(
    "--media",
    changes.media?.map((one) => {
      const cache = one.cache ? `:cache=${one.cache}` : "";
      const sectors = one.sector_size ? `:sector-size=${one.sector_size}` : "";
      const zeroes = one.detect_zeroes ? ":detect-zeroes" : "";
      const limits = LIMITS.filter((it) => one.limits?.[it]).map(
        (it) => `:${it.replace("_", "-")}=${one.limits?.[it]}`,
      );
      const boot = one.boot ? `:boot=${one.boot}` : "";
      return `${one.mid}:${one.mode.toLowerCase()}${one.readonly ? ":ro" : ""}${cache}${sectors}${boot}${zeroes}${limits.join("")}`;
    }),
  );
  add(
    "--drive",
    changes.drives?.map((one) => one.mode.toLowerCase()),
  );
  add(
    "--nic",
    changes.nics?.map((one) => {
      const what =
        one.type === "BRIDGE" ? `bridge:${one.host}${one.trusted ? ":trusted" : ""}` : one.type.toLowerCase();
      const link = one.link === "down" ? ":link=down" : "";
      const boot = one.boot ? `:boot=${one.boot}` : "";
      return `${what}${one.id ? `:id=${one.id}` : ""}${link}${boot}${one.mac ? `:mac=${one.mac}` : ""}`;
    }),
  );
  add("--forward", changes.forwards?.map(forwardText));
  if (changes.cpu !== undefined) line.push("--cpu", changes.cpu);
  if (changes.input !== undefined) line.push("--input", changes.input);
  if (changes.balloon !== undefined) line.push(changes.balloon ? "--balloon" : "--no-balloon");
  if (changes.autostart !== undefined) line.push(changes.autostart ? "--autostart" : "--no-autostart");
  if (changes.notes !== undefined) line.push("--notes", changes.notes);
  if (changes.spread !== undefined) line.push("--spread", changes.spread);
  if (changes.together !== undefined) line.push("--together", changes.together);
  add("--host-label", changes.host_labels);
  if (changes.ha !== undefined) line.push("--ha", changes.ha);
  if (changes.start_order !== undefined) line.push("--start-order", String(changes.start_order));
  if (changes.new_instance) line.push("--new-instance");
  return ["velocity", "vm", "set", ...vmWords(vm, line)];
}

/** Put an element of a list one place earlier (-1) or later (1). */
export function moved<T>(list: readonly T[], index: number, by: -1 | 1): T[] {
  const after = [...list];
  const [one] = after.splice(index, 1);
  if (one !== undefined) after.splice(index + by, 0, one);
  return after;
}
