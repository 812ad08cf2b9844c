/** What a change would do, step by step, asked from the server before it is carried out. */
import { Alert, Content, List, ListItem, Skeleton } from "@patternfly/react-core";
import { ApiError, messageOf } from "@/api/call";
import { usePools } from "@/api/live";
import type { Plan } from "@/api/schema";
import { useGroupPath } from "@/ui/groups";
import { type Change, quotaWords, usePlan } from "@/ui/PlanSummary";
import { sentence } from "./steps";

export function PlanSteps({ change }: { change: Change }) {
  const { data, error } = usePlan(change);
  if (error) return <Refused error={error} />;
  return data ? <Steps plan={data} /> : <Skeleton height="2rem" screenreaderText="Asking what it would do" />;
}

export function Refused({ error }: { error: unknown }) {
  return (
    <Alert component="p" isInline variant="danger" title="The server would refuse it">
      {messageOf(error)}
      {error instanceof ApiError && error.request && <Content component="small">Request {error.request}</Content>}
    </Alert>
  );
}

export function Steps({ plan }: { plan: Plan }) {
  const path = useGroupPath();
  const pools = usePools();
  const pool = (mpid: number | undefined) =>
    mpid === undefined ? "" : (pools.find((one) => one.mpid === mpid)?.name ?? `pool ${mpid}`);
  return (
    <section aria-label="What it would do" aria-live="polite" className="v-steps">
      {plan.steps.length === 0 && "Nothing would change."}
      <List>
        {plan.steps.map((step) => (
          <ListItem key={`${step.do} ${step.kind} ${step.id ?? step.name}`}>{sentence(step)}</ListItem>
        ))}
        {plan.consumes.map((one) => (
          <ListItem key={`${one.gid} ${one.mpid ?? ""}`}>{quotaWords(one, path(one.gid), pool(one.mpid))}</ListItem>
        ))}
      </List>
      {plan.warnings?.map((warning) => (
        <Alert component="p" key={warning} isInline isPlain variant="warning" title={warning} />
      ))}
    </section>
  );
}
