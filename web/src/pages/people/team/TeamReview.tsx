/** What setting up the team will do, before it is done, while it is, and after: each step with its state. */
import { Content, ProgressStep, ProgressStepper } from "@patternfly/react-core";
import { Code } from "@/ui/Code";
import { shell } from "@/ui/format";
import { Refused, usePlan } from "@/ui/PlanSummary";
import type { Team, TeamStep } from "./team";

export interface Progress {
  done: ReadonlySet<string>;
  running?: string;
  failed?: string;
}

export function TeamReview({ steps, progress }: { steps: readonly TeamStep[]; progress: Progress }) {
  const { done, running, failed } = progress;
  return (
    <>
      <ProgressStepper isVertical aria-label="Steps">
        {steps.map((step) => {
          const is = done.has(step.key)
            ? "success"
            : running === step.key
              ? "info"
              : failed === step.key
                ? "danger"
                : "pending";
          return (
            <ProgressStep
              key={step.key}
              id={`team-step-${step.key}`}
              titleId={`team-step-${step.key}-title`}
              variant={is}
              isCurrent={running === step.key}
              aria-label={`${step.title}: ${{ success: "done", info: "in progress", danger: "failed", pending: "pending" }[is]}`}
            >
              {step.title}
            </ProgressStep>
          );
        })}
      </ProgressStepper>
      <Content component="p" className="v-space-above">
        The same from the command line{steps.some((one) => one.key === "user") && " (it asks for the password)"}:
      </Content>
      <Code label="Command lines" text={steps.map((step) => step.cli.map(shell).join(" ")).join("\n")} />
    </>
  );
}

/** Asks the server for the plan of what can be planned before the group is there. */
export function useTeamPlan(team: Team | undefined) {
  const group = usePlan(
    team && { method: "put", path: "/u/group", body: { name: team.name, parent_gid: team.parent } },
  );
  const fresh = team?.member && team.member.uid === undefined ? team.member : undefined;
  const user = usePlan(
    fresh && { method: "put", path: "/u/user", body: { name: fresh.name, password: fresh.password ?? "" } },
  );
  return {
    error: group.error ?? user.error ?? undefined,
    ready: group.data !== undefined && (!fresh || user.data !== undefined),
  };
}

export function Planned({ error, ready }: ReturnType<typeof useTeamPlan>) {
  if (error) return <Refused error={error} />;
  return (
    <Content component="small" className="v-subtle" aria-live="polite">
      {ready
        ? "The server accepts the group and the user. The later steps are checked when they are carried out. If one is refused, the rest are not carried out, and what was done before it stays."
        : "Checking with the server"}
    </Content>
  );
}
