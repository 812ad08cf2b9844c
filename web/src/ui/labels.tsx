/** States and causes, shown everywhere as a dot and a word. */
import type { ReactNode } from "react";
import type { Vm } from "@/api/live";
import type { State, TaskState } from "@/api/schema";

export type Tone = "ok" | "warn" | "bad" | "busy" | "off";

/** A table can contain hundreds of them. */
export function Status({ tone, children }: { tone: Tone; children: ReactNode }) {
  return <span className={`v-status v-status-${tone}`}>{children}</span>;
}

/** Nothing in a cell of a table: on a phone, where the heads of columns are missing, it would say nothing. */
export const NONE = <span className="v-none">–</span>;

/** A word in a box, such as the type of a medium or a permission. */
export function Tag({ tone, title, children }: { tone?: Tone; title?: string | undefined; children: ReactNode }) {
  return (
    <span className={tone ? `v-tag v-tag-${tone}` : "v-tag"} title={title}>
      {children}
    </span>
  );
}

const STATE: Partial<Record<State, Tone>> = { RUNNING: "ok", PAUSED: "warn", STOPPED: "off" };

/** "Running": the server's words in normal spelling. */
export const word = (state: string): string => state.charAt(0) + state.slice(1).toLowerCase();

/** The name of a medium's type: "Disk" for DISK; other words are the user's own. */
export const mediumType = (type: string): string => (type === "DISK" ? "Disk" : type);

/** For a VM that does not respond, the last known state, without a colour. */
export function StateLabel({ vm }: { vm: Pick<Vm, "state" | "unreachable_since"> }) {
  const tone = vm.unreachable_since === undefined ? (STATE[vm.state] ?? "busy") : "off";
  return <Status tone={tone}>{word(vm.state)}</Status>;
}

export { vmProblem } from "./vmProblem";

const TASK: Record<TaskState, Tone> = { RUNNING: "busy", DONE: "ok", FAILED: "bad", CANCELLED: "off" };

export function TaskLabel({ state }: { state: TaskState }) {
  return <Status tone={TASK[state]}>{word(state)}</Status>;
}
