/** Where a new medium goes: the groups and pools that the caller may put one in, and what room they have. */
import { useMemo, useState } from "react";
import { useMay, useObjects, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { PoolInfo } from "@/api/schema";
import { readStored, writeStored } from "@/api/stored";
import { type GroupChoice, useGroupPath, useGroupsWhere } from "@/ui/groups";
import { useWhoGivesMore } from "@/ui/WhoGivesMore";

export interface Target {
  groups: GroupChoice[];
  gid: number;
  setGid: (gid: number) => void;
  path: string;
  /** Whom to ask for more of a pool, or "". */
  ask: string;
  /** `closed` says why nothing can be made there; empty: it can. */
  pools: { mpid: number; name: string; closed: string }[];
  mpid: number | undefined;
  setMpid: (mpid: number) => void;
  /** With its room; undefined: not read yet, or not the caller's to see. */
  pool: PoolInfo | undefined;
  /** Why there is no pool to choose. */
  none: string | undefined;
  /** The names that the group has in that pool. */
  taken: ReadonlySet<string>;
}

const LAST = "media.target";

function closedBy(pool: PoolInfo): string {
  if (!pool.manage) return "may not be managed";
  return { online: "", away: "is away", readonly: "is read-only", full: "" }[pool.state];
}

/** Begins with what was chosen the last time. `gid` and `mpid`, if given, are tried before that. */
export function useTarget(first?: { gid: number; mpid?: number }): Target {
  const groups = useGroupsWhere("media.create");
  const last = useMemo(() => first ?? readStored<{ gid?: number; mpid?: number }>(LAST, {}), [first]);
  const [wantedGid, setWantedGid] = useState(last.gid);
  const [wantedMpid, setWantedMpid] = useState(last.mpid);
  const gid = groups.find((one) => one.gid === wantedGid)?.gid ?? groups[0]?.gid ?? 0;
  const may = useMay();
  const path = useGroupPath();
  const known = usePools();
  const media = useObjects("medium");
  const sees = may("pool.list", gid);
  const ask = useWhoGivesMore(gid, "assign_pool");
  const answer = useAnswer(
    "post",
    "/m/pool/list",
    { gid },
    { topics: ["pool", "quota"], enabled: sees && groups.length > 0 },
  );
  const all = sees ? answer.data?.pools : known;
  const pools = (all ?? []).map((one) => ({
    mpid: one.mpid,
    name: one.name,
    closed: "manage" in one ? closedBy(one as PoolInfo) : "",
  }));
  const open = pools.filter((one) => !one.closed);
  const mpid = (open.find((one) => one.mpid === wantedMpid) ?? open[0])?.mpid;
  const taken = useMemo(
    () => new Set(media.filter((one) => one.gid === gid && one.mpid === mpid).map((one) => one.name)),
    [media, gid, mpid],
  );
  const choose = (chosen: { gid: number; mpid: number | undefined }) => {
    setWantedGid(chosen.gid);
    setWantedMpid(chosen.mpid);
    writeStored(LAST, chosen);
  };
  return {
    groups,
    gid,
    setGid: (chosen) => choose({ gid: chosen, mpid }),
    path: path(gid),
    ask,
    pools,
    mpid,
    setMpid: (chosen) => choose({ gid, mpid: chosen }),
    pool: sees ? answer.data?.pools.find((one) => one.mpid === mpid) : undefined,
    none: all && open.length === 0 ? noPool(pools.length > 0) : undefined,
    taken,
  };
}

const noPool = (some: boolean): string =>
  some
    ? "The group's pools are not available, or the group may not manage media in them. Ask an administrator, or choose another group."
    : "The group has no pool. Ask for one to be assigned to it, or choose another group.";
