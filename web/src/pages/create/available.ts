/** What is left of the quotas of a group and of its pools, as far as the person may see it. */
import { useMemo } from "react";
import { useMay, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { HostRef, PoolInfo, Quota } from "@/api/schema";
import { useGroupPath } from "@/ui/groups";
import { fullWords } from "@/ui/vmQuota";

export interface Available {
  left: Quota;
  /** Why the group can have no other VM. */
  full: string | undefined;
  /** Where a disk can be made; those that may not be managed are not in it. */
  pools: { mpid: number; name: string; left?: number; free?: number; host?: HostRef }[];
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
  return useMemo(() => {
    const listed: readonly (PoolInfo | { mpid: number; name: string })[] = seesPools
      ? (pools.data?.pools.filter((one) => one.manage) ?? [])
      : names;
    return {
      left: quota.data?.left ?? NOTHING,
      full: quota.data && fullWords(path(gid), quota.data),
      pools: [...listed],
      ready: (!seesQuota || !quota.isPending) && (!seesPools || !pools.isPending),
    };
  }, [quota.data, quota.isPending, pools.data, pools.isPending, seesQuota, seesPools, names, path, gid]);
}
