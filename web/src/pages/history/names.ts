/** How the things that the history speaks of are called now. */
import { useMemo } from "react";
import { useObjects, usePools } from "@/api/live";
import { session } from "@/api/session";
import { pathsOf } from "@/ui/groups";
import type { Names } from "./sentence";

export function useNames(): Names {
  const vms = useObjects("vm");
  const media = useObjects("medium");
  const groups = useObjects("group");
  const users = useObjects("user");
  const pools = usePools();
  const me = session.present?.uid;
  return useMemo(() => {
    const vm = new Map(vms.map((one) => [one.vmid, one.name]));
    const medium = new Map<string, string>(media.map((one) => [one.mid, one.name]));
    const user = new Map(users.map((one) => [one.uid, one.name]));
    const pool = new Map(pools.map((one) => [one.mpid, one.name]));
    const group = pathsOf(groups);
    return {
      me,
      vm: (vmid) => vm.get(vmid),
      medium: (mid) => medium.get(mid),
      group: (gid) => group.get(gid),
      user: (uid) => user.get(uid),
      pool: (mpid) => pool.get(mpid),
    };
  }, [vms, media, groups, users, pools, me]);
}
