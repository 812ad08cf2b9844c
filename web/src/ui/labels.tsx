/** States and causes in one look everywhere. */
import "./labels.css";
import { Label } from "@patternfly/react-core";
import { InProgressIcon, OffIcon, PauseIcon, PlayIcon } from "@patternfly/react-icons";
import type { ReactNode } from "react";
import type { State, TaskState } from "@/api/schema";

type Colour = "green" | "orange" | "gray" | "blue";

/** A small label of which a table can hold many: PatternFly's measures its text when it is made. */
export function QuickLabel({ color, icon, children }: { color: Colour; icon?: ReactNode; children: ReactNode }) {
  return (
    <span className={`v-label v-label-${color}`}>
      {icon}
      {children}
    </span>
  );
}

const STATE = {
  RUNNING: { color: "green", icon: <PlayIcon set="default" /> },
  PAUSED: { color: "orange", icon: <PauseIcon set="default" /> },
  STOPPED: { color: "gray", icon: <OffIcon set="default" /> },
} as const;
const CHANGING = { color: "blue", icon: <InProgressIcon set="default" /> } as const;

export function StateLabel({ state }: { state: State }) {
  const { color, icon } = state in STATE ? STATE[state as keyof typeof STATE] : CHANGING;
  return (
    <QuickLabel color={color} icon={icon}>
      {state.charAt(0) + state.slice(1).toLowerCase()}
    </QuickLabel>
  );
}

export { vmProblem } from "./vmProblem";

const TASK = { RUNNING: "blue", DONE: "green", FAILED: "red", CANCELLED: "grey" } as const;

export function TaskLabel({ state }: { state: TaskState }) {
  return (
    <Label color={TASK[state]} isCompact>
      {state.charAt(0) + state.slice(1).toLowerCase()}
    </Label>
  );
}
