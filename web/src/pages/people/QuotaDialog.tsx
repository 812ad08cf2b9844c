/** Changing a group's limits: with what would change, and no overwriting of what somebody else has set meanwhile. */

import { Alert, AlertActionLink, FormGroup, TextInput } from "@patternfly/react-core";
import { useQueries } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { call } from "@/api/call";
import { useMay, useObjects } from "@/api/live";
import { queries } from "@/api/queries";
import type { Quota, QuotaInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { PlanSummary } from "@/ui/PlanSummary";
import { QuotaFields } from "./QuotaFields";
import { LIMITED, quotaLine, readAll, typedOf } from "./quotas";
import { lineOf } from "./tree";

/** What the groups from this one upwards limit, as far as the caller may read it. */
export function useMost(gid: number): Quota {
  const groups = useObjects("group");
  const may = useMay();
  const line = lineOf(groups, gid).filter((group) => may("group.view", group.gid));
  return useQueries({
    queries: line.map((group) => ({
      queryKey: ["/u/group/quota", "post", { gid: group.gid }],
      queryFn: () => call("post", "/u/group/quota", { gid: group.gid }),
    })),
    combine: (all) => {
      const most: Quota = {};
      for (const { data } of all)
        for (const name of LIMITED) {
          const limit = data?.limits[name];
          if (limit !== undefined) most[name] = Math.min(limit, most[name] ?? limit);
        }
      return most;
    },
  });
}

export const again = (path: string): Promise<void> => queries.invalidateQueries({ queryKey: [path] });

export function QuotaDialog({ quota, parent, onClose }: { quota: QuotaInfo; parent: number; onClose: () => void }) {
  const act = useAction();
  const path = useGroupPath()(quota.gid);
  const most = useMost(parent);
  const [base, setBase] = useState(quota);
  const [typed, setTyped] = useState(() => typedOf(quota.limits));
  const [ports, setPorts] = useState(quota.limits.forward_ports ?? "");
  const refusal = useRefusal([...LIMITED, "forward_ports"]);
  const { limits: counted, wrong } = readAll(typed, quota.gid === parent ? {} : most);
  const limits = ports.trim() === "" ? counted : { ...counted, forward_ports: ports.trim() };
  const right = Object.keys(wrong).length === 0;
  const same = ([...LIMITED, "forward_ports"] as const).every((name) => limits[name] === base.limits[name]);
  const body = { gid: quota.gid, ...limits, revision: base.revision };
  const settled = useSettled(JSON.stringify(body));
  const changed = quota.revision !== base.revision;
  return (
    <FormDialog
      title={`Quota of ${path}`}
      about="What the group with all its subgroups may use. A field that is empty sets no limit."
      verb="Set the quota"
      ready={right && !same && !changed}
      missing={right && same ? "Change a limit first." : undefined}
      refusal={refusal.last}
      cli={quotaLine(quota.gid, path, limits, base.limits)}
      request={{ method: "put", path: "/u/group/quota", body }}
      onSubmit={async () => {
        const done = await act({
          pending: `Setting the quota of ${path}`,
          done: `Quota of ${path} set`,
          do: () => refusal.during(() => call("put", "/u/group/quota", body)),
        });
        await again("/u/group/quota");
        return done;
      }}
      onClose={onClose}
    >
      {changed && (
        <Alert
          component="p"
          isInline
          variant="warning"
          title="The group has changed in the meantime"
          actionLinks={
            <>
              <AlertActionLink
                onClick={() => {
                  setBase(quota);
                }}
              >
                Keep my input
              </AlertActionLink>
              <AlertActionLink
                onClick={() => {
                  setBase(quota);
                  setTyped(typedOf(quota.limits));
                  setPorts(quota.limits.forward_ports ?? "");
                }}
              >
                Show the present quota
              </AlertActionLink>
            </>
          }
        >
          Its limits or members have changed since this dialog was opened.
        </Alert>
      )}
      <QuotaFields
        typed={typed}
        wrong={{
          ...wrong,
          ...Object.fromEntries(LIMITED.flatMap((name) => (refusal.at(name) ? [[name, refusal.at(name)]] : []))),
        }}
        most={quota.gid === parent ? {} : most}
        used={quota.usage}
        onChange={(next) => {
          setTyped(next);
        }}
      />
      <FormGroup label="Host ports for forwards" fieldId="quota-forward_ports">
        <TextInput
          id="quota-forward_ports"
          value={ports}
          placeholder="no limit"
          autoComplete="off"
          validated={refusal.at("forward_ports") ? "error" : "default"}
          aria-describedby="quota-forward_ports-hint"
          onChange={(_event, value) => {
            setPorts(value);
          }}
        />
        <Hint id="quota-forward_ports-hint" wrong={refusal.at("forward_ports")}>
          Ports that may be forwarded to its VMs, such as 20000-20099. Empty: no limit.
        </Hint>
      </FormGroup>
      {right && !same && !changed && settled === JSON.stringify(body) && (
        <PlanSummary change={{ method: "put", path: "/u/group/quota", body }} />
      )}
    </FormDialog>
  );
}

/** A value once it has not changed for a moment: then the server is asked. */
export function useSettled(value: string): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), 300);
    return () => clearTimeout(timer);
  }, [value]);
  return settled;
}
