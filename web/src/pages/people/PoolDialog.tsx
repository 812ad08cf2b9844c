/** Assigning a pool to a group, or changing what is assigned: with the plan, and nothing that the parent lacks. */

import { FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useMay, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { PoolInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { diskBytes } from "@/ui/amounts";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { PlanSummary } from "@/ui/PlanSummary";
import { assignLine, groupWord, ownOf, sizeWord } from "./commands";
import { PoolFields, quotaOf, type Share } from "./PoolFields";
import { again, useSettled } from "./QuotaDialog";

/** The pools that a group can pass on to its subgroups, as far as the caller may know. */
export function usePassable(parent: number) {
  const may = useMay();
  const known = usePools();
  const asks = may("pool.list", parent);
  const { data } = useAnswer("post", "/m/pool/list", { gid: parent }, { topics: ["pool"], enabled: asks });
  return { pools: data?.pools ?? known, above: (mpid: number) => data?.pools.find((one) => one.mpid === mpid) };
}

export function PoolDialog({
  gid,
  parent,
  assigned,
  pool,
  onClose,
}: {
  gid: number;
  parent: number;
  assigned: readonly PoolInfo[];
  /** What is changed; absent: another one is assigned. */
  pool?: PoolInfo;
  onClose: () => void;
}) {
  const act = useAction();
  const path = useGroupPath()(gid);
  const { pools, above } = usePassable(parent);
  const refusal = useRefusal(["quota"]);
  const choices = pool ? [pool] : pools.filter((one) => !assigned.some((it) => it.mpid === one.mpid));
  const [chosen, setChosen] = useState<number>();
  const mpid = pool?.mpid ?? chosen ?? choices[0]?.mpid;
  const now = ownOf(pool);
  const [share, setShare] = useState<Share>(
    pool ? { ...now, quota: now.quota > 0 ? typedSize(now.quota) : "" } : { quota: "", write: true, manage: true },
  );
  const top = mpid === undefined ? undefined : above(mpid);
  const fit = { ...share, write: share.write && (top?.write ?? true), manage: share.manage && (top?.manage ?? true) };
  const quota = quotaOf(share.quota, top?.quota ?? 0);
  const right = "value" in quota && mpid !== undefined;
  const body = {
    gid,
    mpid: mpid ?? 0,
    quota: "value" in quota ? quota.value : 0,
    write: fit.write,
    manage: fit.manage,
    ...(pool ? { revision: pool.revision } : {}),
  };
  const settled = useSettled(JSON.stringify(body));
  const name = choices.find((one) => one.mpid === mpid)?.name ?? "";
  return (
    <FormDialog
      title={pool ? `${path} in the pool ${pool.name}` : `Assign a pool to ${path}`}
      verb={pool ? "Change" : "Assign"}
      ready={right}
      refusal={refusal.last}
      cli={assignLine(body.mpid, groupWord(path, gid), body, now)}
      request={{ method: "put", path: "/m/pool/assign", body }}
      onSubmit={async () => {
        const done = await act({
          pending: `Assigning ${name} to ${path}`,
          done: `${name} assigned to ${path}`,
          do: () => refusal.during(() => call("put", "/m/pool/assign", body)),
        });
        await again("/m/pool/list");
        return done;
      }}
      onClose={onClose}
    >
      {!pool && (
        <FormGroup label="Pool" fieldId="pool" isRequired>
          {choices.length > 0 ? (
            <Choose
              id="pool"
              value={String(mpid ?? "")}
              choices={choices.map((one) => ({ value: String(one.mpid), label: one.name }))}
              onChange={(value) => setChosen(Number(value))}
            />
          ) : (
            <Hint>The group already has every pool that the group above can pass on.</Hint>
          )}
        </FormGroup>
      )}
      {mpid !== undefined && (
        <PoolFields
          share={fit}
          above={top}
          wrong={"wrong" in quota ? quota.wrong : refusal.at("quota")}
          onChange={(next) => {
            setShare(next);
          }}
        />
      )}
      {right && settled === JSON.stringify(body) && (
        <PlanSummary change={{ method: "put", path: "/m/pool/assign", body }} />
      )}
    </FormDialog>
  );
}

/** As people write it, where that is exact. */
const typedSize = (size: number): string => (diskBytes(bytes(size)) === size ? bytes(size) : sizeWord(size));
