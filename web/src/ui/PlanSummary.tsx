/** What a change would do and use, asked from the server before it is carried out. */

import { Alert, Content, List, ListItem, Skeleton } from "@patternfly/react-core";
import { useQuery } from "@tanstack/react-query";
import { type Method, send } from "@/api/call";
import { ApiError, messageOf } from "@/api/http";
import { useMay, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { Plan } from "@/api/schema";
import { bytes, count, mib } from "./format";
import { useGroupPath } from "./groups";
import { Sentence } from "./Sentence";
import { sentence } from "./steps";
import { NAMES } from "./texts/names";
import { asSentence, ROOT_NAME } from "./texts/words";

export interface Change {
  method: Exclude<Method, "post">;
  path: string;
  body: object;
}

/** The plan of a change, asked again whenever the change is another one. */
export function usePlan(change: Change | undefined) {
  return useQuery<Plan>({
    queryKey: ["plan", change],
    queryFn: () => send(change?.method ?? "", change?.path ?? "", { ...change?.body, plan: true }) as Promise<Plan>,
    enabled: change !== undefined,
    gcTime: 0,
  });
}

export function PlanSummary({ change }: { change: Change }) {
  const { data, error } = usePlan(change);
  return (
    <div className="v-plan-place">
      {error ? (
        <Refused error={error} />
      ) : data ? (
        <Steps plan={data} />
      ) : (
        <Skeleton height="2rem" screenreaderText="Checking what would be done" />
      )}
    </div>
  );
}

export function Refused({ error }: { error: unknown }) {
  return (
    <Alert component="p" isInline variant="danger" title="The server would refuse this">
      <Sentence>{messageOf(error)}</Sentence>
      {error instanceof ApiError && error.request && <Content component="small">Request {error.request}</Content>}
    </Alert>
  );
}

export function Steps({ plan }: { plan: Plan }) {
  const group = useGroupPath();
  const pools = usePools();
  const pool = (mpid: number) => pools.find((one) => one.mpid === mpid)?.name ?? `pool ${mpid}`;
  return (
    <div aria-live="polite" className="v-steps">
      {plan.steps.length === 0 && "Nothing would change."}
      <List>
        {plan.steps.map((step) => (
          <ListItem key={`${step.do} ${step.kind} ${step.id ?? step.name}`}>
            <Sentence>{sentence(step, { group, pool })}</Sentence>
          </ListItem>
        ))}
        {plan.consumes.map((one) => (
          <Taken key={`${one.gid} ${one.mpid ?? ""}`} one={one} />
        ))}
      </List>
      {plan.warnings?.map((warning) => (
        <Alert
          component="p"
          key={warning}
          isInline
          isPlain
          variant="warning"
          title={<Sentence>{asSentence(warning, NAMES)}</Sentence>}
        />
      ))}
    </div>
  );
}

type Consumed = Plan["consumes"][number];

/** What a quota gives or gets back; where there is none, nothing is told. */
export function Taken({ one }: { one: Consumed }) {
  const group = useGroupPath();
  const pools = usePools();
  const may = useMay();
  const { gid, mpid } = one;
  const ofPool = mpid !== undefined;
  const sees = may(ofPool ? "pool.list" : "group.view", gid);
  const quota = useAnswer("post", "/u/group/quota", { gid }, { topics: ["quota"], enabled: sees && !ofPool });
  const assigned = useAnswer("post", "/m/pool/list", { gid }, { topics: ["pool", "quota"], enabled: sees && ofPool });
  const pool = assigned.data?.pools.find((it) => it.mpid === mpid);
  if (sees && (ofPool ? pool : quota.data) === undefined) return null;
  const limited = sees ? limitedTo(one, ofPool ? { bytes: pool?.left } : (quota.data?.left ?? {})) : one;
  const words = quotaWords(limited, group(gid), ofPool ? (pools.find((it) => it.mpid === mpid)?.name ?? "") : "");
  return (
    words && (
      <ListItem>
        <Sentence>{words}</Sentence>
      </ListItem>
    )
  );
}

const AMOUNTS = ["cpus", "memory_mib", "vms", "bytes"] as const;
type Left = { [K in (typeof AMOUNTS)[number]]?: number | undefined };

/** Only those amounts of which something is left, or nothing: of others there is no limit. */
export const limitedTo = (one: Consumed, left: Left): Consumed => ({
  ...one,
  ...Object.fromEntries(AMOUNTS.filter((name) => left[name] === undefined).map((name) => [name, undefined])),
});

/** "Takes 2 CPUs and 4 GiB of memory of the quota of team/web". */
export function quotaWords(one: Consumed, group: string, pool: string): string {
  const amounts: [number | undefined, (amount: number) => string][] = [
    [one.cpus, (amount) => count(amount, "CPU")],
    [one.memory_mib, (amount) => `${mib(amount)} of memory`],
    [one.vms, (amount) => count(amount, "VM")],
    [one.bytes, (amount) => `${bytes(amount)} of the pool ${pool}`],
  ];
  const words = (sign: number) =>
    amounts.flatMap(([amount, word]) => (amount && Math.sign(amount) === sign ? [word(Math.abs(amount))] : []));
  const [takes, gives] = [words(1), words(-1)];
  const parts = [takes.length && `takes ${and(takes)}`, gives.length && `gives back ${and(gives)}`].filter(Boolean);
  if (parts.length === 0) return "";
  const said = parts.join(" and ");
  return `${said.charAt(0).toUpperCase()}${said.slice(1)} (quota of ${group === ROOT_NAME ? `the ${group}` : group})`;
}

const and = (words: string[]): string =>
  words.length < 2 ? (words[0] ?? "") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
