/** What is left of the quotas of a group and of its pools, as far as the person may see it. */
import { useMemo } from "react";
import { useMay, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { HostRef, PoolInfo, Quota } from "@/api/schema";
import { useGroupPath } from "@/ui/groups";
import { fullWords, type GroupQuota, type PoolQuota, type Whose } from "@/ui/vmQuota";
import { useWhoGivesMore } from "@/ui/WhoGivesMore";

export interface Available {
  left: Quota;
  /** Absent: not read yet, or not the caller's to see. */
  quota: GroupQuota | undefined;
  /** Of the pools. */
  asking: Whose;
  /** Why the group can have no other VM. */
  full: string | undefined;
  /** Where a disk can be made; those that may not be managed are not in it. */
  pools: ({ mpid: number; free?: number; host?: HostRef } & PoolQuota)[];
  ready: boolean;
}

const NOTHING: Quota = {};

export function useAvailable(gid: number): Available {
  const may = useMay();
  const path = useGroupPath();
  const names = usePools();
  const seesQuota = may("group.view", gid);
  const seesPools = may("pool.list", gid);
  const quota = useAnswer("post", "/u/group/quota", { gid }, { topics: ["quota"], enabled: seesQuota });
  const pools = useAnswer("post", "/m/pool/list", { gid }, { topics: ["pool", "quota"], enabled: seesPools });
  const ask = useWhoGivesMore(gid, "set_quota");
  const askPool = useWhoGivesMore(gid, "assign_pool");
  return useMemo(() => {
    const listed: readonly (PoolInfo | { mpid: number; name: string })[] = seesPools
      ? (pools.data?.pools.filter((one) => one.manage) ?? [])
      : names;
    return {
      left: quota.data?.left ?? NOTHING,
      quota: quota.data && { ...quota.data, path: path(gid), ask },
      asking: { path: path(gid), ask: askPool },
      full: quota.data && fullWords(path(gid), quota.data),
      pools: [...listed],
      ready: (!seesQuota || !quota.isPending) && (!seesPools || !pools.isPending),
    };
  }, [quota.data, quota.isPending, pools.data, pools.isPending, seesQuota, seesPools, names, path, gid, ask, askPool]);
}
