/** What a group with its subgroups may have and has: a bar for each limit, and what still fits under the groups above. */
import { Button, Card, CardBody, CardHeader, CardTitle, Content, Skeleton } from "@patternfly/react-core";
import { useState } from "react";
import { useMay } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { QuotaInfo } from "@/api/schema";
import { Failed } from "@/ui/Failed";
import { ROOT } from "@/ui/groups";
import { Bar } from "./Bar";
import { QuotaDialog } from "./QuotaDialog";
import { amount, LIMITED, type Limited, TITLES } from "./quotas";

export function Quota({ gid, parent }: { gid: number; parent: number }) {
  const may = useMay();
  const [editing, setEditing] = useState(false);
  const { data, error, refetch } = useAnswer("post", "/u/group/quota", { gid }, { topics: ["quota"] });
  const edit = may("group.create", parent);
  return (
    <Card isCompact>
      <CardHeader
        actions={
          edit && data
            ? {
                actions: (
                  <Button variant="link" isInline onClick={() => setEditing(true)}>
                    Change the quota
                  </Button>
                ),
              }
            : undefined
        }
      >
        <CardTitle component="h3">Quota</CardTitle>
      </CardHeader>
      <CardBody>
        {error ? (
          <Failed error={error} what="The quota" again={() => void refetch()} />
        ) : data ? (
          <div className="v-quota">
            {LIMITED.map((name) => (
              <One key={name} name={name} quota={data} />
            ))}
            {data.limits.forward_ports && (
              <div className="v-plain-quota">
                <span>Host ports for forwards</span> <span className="v-subtle">{data.limits.forward_ports}</span>
              </div>
            )}
            <Content component="small" className="v-subtle">
              VMs count whether they run or not, those of {gid === ROOT ? "all groups" : "its subgroups"} too.
            </Content>
          </div>
        ) : (
          <Skeleton height="8rem" screenreaderText="Loading the quota" />
        )}
      </CardBody>
      {editing && data && <QuotaDialog quota={data} parent={parent} onClose={() => setEditing(false)} />}
    </Card>
  );
}

function One({ name, quota }: { name: Limited; quota: QuotaInfo }) {
  const [limit, left, used] = [quota.limits[name], quota.left[name], quota.usage[name]];
  const own = limit === undefined ? undefined : Math.max(0, limit - used);
  const less = left !== undefined && (own === undefined || left < own);
  return (
    <div>
      {limit === undefined ? (
        <div className="v-plain-quota">
          <span>{TITLES[name]}</span> <span className="v-subtle">{amount(name, used)}, no limit of its own</span>
        </div>
      ) : (
        <Bar
          title={TITLES[name]}
          used={used}
          limit={limit}
          words={`${name === "memory_mib" ? amount(name, used) : used} of ${amount(name, limit)}${used > limit ? ": over the limit" : ""}`}
        />
      )}
      {less && (
        <Content component="small">
          {left === 0 ? "Nothing" : amount(name, left)} left, as a group above has no more.
        </Content>
      )}
    </div>
  );
}
