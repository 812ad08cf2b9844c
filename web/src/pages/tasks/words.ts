/** What a task does and how far it has come, in words. */
import type { TaskInfo } from "@/api/schema";
import { bytes, capital, duration } from "@/ui/format";

const DOING: Record<string, string> = {
  import: "Importing",
  clone: "Cloning a medium as",
  move: "Moving",
  convert: "Converting",
  compact: "Compacting",
  clone_vm: "Cloning a VM as",
  move_vm: "Moving the VM",
  drain: "Moving all VMs away from",
  fetch: "Fetching",
  empty: "Emptying the",
};
const WORK: Record<string, string> = {
  import: "Import of",
  clone: "Clone of a medium as",
  move: "Move of",
  convert: "Conversion of",
  compact: "Compaction of",
  clone_vm: "Clone of a VM as",
  move_vm: "Move of the VM",
  drain: "Draining of",
  fetch: "Fetch of",
  empty: "Emptying of the",
};

export const titleOf = (task: TaskInfo): string =>
  task.state === "RUNNING"
    ? `${DOING[task.kind] ?? task.kind} ${task.name}`
    : `${WORK[task.kind] ?? task.kind} ${task.name}`;

const CHANGING: ReadonlySet<string> = new Set(["move", "convert", "compact"]);

/** What became of what a task that was cancelled was about. */
export const cancelledWords = (kind: string): string =>
  CHANGING.has(kind)
    ? "The medium is as it was"
    : kind === "move_vm"
      ? "The VM stays where it was"
      : kind === "drain"
        ? "What had moved stays there"
        : "Nothing was kept";

/** 0 to 100, or undefined while the server does not know how far it has to go. */
export const percent = (task: TaskInfo): number | undefined =>
  task.total > 0 ? Math.min(100, Math.floor((100 * task.done) / task.total)) : undefined;

const amount = (task: TaskInfo, count: number): string =>
  task.unit === "bytes"
    ? bytes(count)
    : `${count.toLocaleString()} ${count === 1 ? task.unit.replace(/s$/, "") : task.unit}`;

/** "1.20 GiB of 4 GiB, about 40 s left". `now` in unix seconds. */
export function progressWords(task: TaskInfo, now: number): string {
  const phase = task.phase && (PHASES[task.phase] ?? capital(task.phase));
  if (task.total <= 0) return phase ?? (task.done > 0 ? amount(task, task.done) : "started");
  const beside = task.total_bytes ? ` (${bytes(task.done_bytes ?? 0)} of ${bytes(task.total_bytes)})` : "";
  const done = task.unit === "bytes" ? bytes(task.done) : task.done.toLocaleString();
  const far = `${done} of ${amount(task, task.total)}${beside}`;
  const left = phase === undefined ? secondsLeft(task, now) : undefined; // each phase counts anew
  if (left !== undefined) return `${far}, about ${duration(left)} left`;
  return phase === undefined ? far : `${phase}: ${far}`;
}

const PHASES: Record<string, string> = {
  "copying media": "Copying media",
  disks: "Copying disks",
  memory: "Copying memory",
  "handing over": "Handing over",
};

const SOON = 3;

/** By the mean speed so far; undefined while that says too little. */
export function secondsLeft(task: TaskInfo, now: number): number | undefined {
  const spent = now - task.begun;
  if (spent < SOON || task.done <= 0 || task.total <= task.done) return undefined;
  return ((task.total - task.done) * spent) / task.done;
}

export const took = (task: TaskInfo): string | undefined =>
  task.ended === undefined ? undefined : duration(Math.max(0, task.ended - task.begun));
