/** What is left of the quotas of a group and of its pools, as far as the person may see it. */
import { useMemo } from "react";
import { useMay, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { HostRef, PoolInfo, Quota } from "@/api/schema";

export interface Available {
  left: Quota;
  /** Where a disk can be made; those that may not be managed are not in it. */
  pools: { mpid: number; name: string; left?: number; free?: number; host?: HostRef }[];
  ready: boolean;
}

const NOTHING: Quota = {};

export function useAvailable(gid: number): Available {
  const may = useMay();
  const names = usePools();
  const seesQuota = may("group.view", gid);
  const seesPools = may("pool.list", gid);
  const quota = useAnswer("post", "/u/group/quota", { gid }, { topics: ["quota"], enabled: seesQuota });
  const pools = useAnswer("post", "/m/pool/list", { gid }, { topics: ["pool", "quota"], enabled: seesPools });
  return useMemo(() => {
    const listed: readonly (PoolInfo | { mpid: number; name: string })[] = seesPools
      ? (pools.data?.pools.filter((one) => one.manage) ?? [])
      : names;
    return {
      left: quota.data?.left ?? NOTHING,
      pools: [...listed],
      ready: (!seesQuota || !quota.isPending) && (!seesPools || !pools.isPending),
    };
  }, [quota.data, quota.isPending, pools.data, pools.isPending, seesQuota, seesPools, names]);
}
