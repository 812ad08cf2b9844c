/** States and causes in one look everywhere. */
import { Label } from "@patternfly/react-core";
import { InProgressIcon, OffIcon, PauseIcon, PlayIcon } from "@patternfly/react-icons";
import type { ReactNode } from "react";
import type { State, TaskState } from "@/api/schema";

/**
 * Looks like PatternFly's label, which measures its text when it is made: in a table of many rows that lays the whole
 * table out once for each.
 */
export function QuickLabel({ color, icon, children }: { color: string; icon?: ReactNode; children: ReactNode }) {
  return (
    <span className={`pf-v6-c-label pf-m-compact pf-m-${color}`}>
      <span className="pf-v6-c-label__content">
        {icon && <span className="pf-v6-c-label__icon">{icon}</span>}
        <span className="pf-v6-c-label__text">{children}</span>
      </span>
    </span>
  );
}

const STATE = {
  RUNNING: { color: "green", icon: <PlayIcon /> },
  PAUSED: { color: "orange", icon: <PauseIcon /> },
  STOPPED: { color: "grey", icon: <OffIcon /> },
} as const;
const CHANGING = { color: "blue", icon: <InProgressIcon /> } as const;

export function StateLabel({ state }: { state: State }) {
  const { color, icon } = state in STATE ? STATE[state as keyof typeof STATE] : CHANGING;
  return (
    <QuickLabel color={color} icon={icon}>
      {state.charAt(0) + state.slice(1).toLowerCase()}
    </QuickLabel>
  );
}

export { trouble } from "./trouble";

const TASK = { RUNNING: "blue", DONE: "green", FAILED: "red", CANCELLED: "grey" } as const;

export function TaskLabel({ state }: { state: TaskState }) {
  return (
    <Label color={TASK[state]} isCompact>
      {state.charAt(0) + state.slice(1).toLowerCase()}
    </Label>
  );
}
