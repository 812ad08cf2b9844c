/** What a change would do and take, asked from the server before it is carried out. */
import { Alert, Content, List, ListItem, Skeleton } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { ApiError, type Method, messageOf, send } from "@/api/call";
import { usePools } from "@/api/live";
import type { Plan } from "@/api/schema";
import { bytes, count, mib } from "./format";
import { useGroupPath } from "./groups";

export interface Change {
  method: Exclude<Method, "post">;
  path: string;
  body: object;
}

/** Asked anew whenever the change is another one. */
export function usePlan(change: Change | undefined) {
  return useQuery<Plan>({
    queryKey: ["plan", change],
    queryFn: () => send(change?.method ?? "", change?.path ?? "", { ...change?.body, plan: true }) as Promise<Plan>,
    enabled: change !== undefined,
    gcTime: 0,
  });
}

const DONE: Record<string, string> = {
  assign: "Assigns",
  cancel: "Cancels",
  change: "Changes",
  create: "Creates",
  delete: "Moves into the trash",
  grant: "Grants",
  kill: "Forces off",
  pause: "Pauses",
  purge: "Removes for good",
  restore: "Restores",
  resume: "Resumes",
  revoke: "Revokes",
  start: "Starts",
  stop: "Stops",
};

const KIND: Record<string, string> = { vm: "VM" };
const MOST = 8;

export function PlanSummary({ change }: { change: Change }) {
  const { data, error, isPending } = usePlan(change);
  const path = useGroupPath();
  const pools = usePools();
  if (isPending) return <Skeleton screenreaderText="Asking what it would do" height="3rem" />;
  if (error)
    return (
      <Alert isInline variant="danger" title="The server would refuse it">
        {messageOf(error)}
        {error instanceof ApiError && error.request && <Content component="small">Request {error.request}</Content>}
      </Alert>
    );
  return (
    <>
      <List className="v-space-above">
        {data.steps.slice(0, MOST).map((step) => (
          <ListItem key={`${step.do} ${step.kind} ${step.id ?? step.name}`}>
            {DONE[step.do] ?? step.do} {KIND[step.kind] ?? step.kind} <strong>{step.name}</strong>
          </ListItem>
        ))}
        {data.steps.length > MOST && <ListItem>and {data.steps.length - MOST} more</ListItem>}
        {data.consumes.map((one) => (
          <ListItem key={`${one.gid} ${one.mpid ?? ""}`}>
            {quotaWords(one, path(one.gid), poolName(pools, one.mpid))}
          </ListItem>
        ))}
      </List>
      {data.warnings?.map((warning) => (
        <Alert key={warning} isInline isPlain variant="warning" title={warning} />
      ))}
    </>
  );
}

const poolName = (pools: readonly { mpid: number; name: string }[], mpid: number | undefined): string =>
  mpid === undefined ? "" : (pools.find((pool) => pool.mpid === mpid)?.name ?? `pool ${mpid}`);

/** "Takes 2 CPUs and 4 GiB of memory of the quota of team/web". */
export function quotaWords(one: Plan["consumes"][number], group: string, pool: string): string {
  const amounts: [number | undefined, (amount: number) => string][] = [
    [one.cpus, (amount) => count(amount, "CPU")],
    [one.memory_mib, (amount) => `${mib(amount)} of memory`],
    [one.vms, (amount) => count(amount, "VM")],
    [one.bytes, (amount) => `${bytes(amount)} of ${pool}`],
  ];
  const words = (sign: number) =>
    amounts.flatMap(([amount, word]) => (amount && Math.sign(amount) === sign ? [word(Math.abs(amount))] : []));
  const [takes, gives] = [words(1), words(-1)];
  const parts = [takes.length && `takes ${and(takes)}`, gives.length && `gives back ${and(gives)}`].filter(Boolean);
  const said = parts.join(" and ");
  return `${said.charAt(0).toUpperCase()}${said.slice(1)} (quota of ${group === "/" ? "the root group" : group})`;
}

const and = (words: string[]): string =>
  words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
