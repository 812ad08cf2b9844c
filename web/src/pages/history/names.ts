/** How the things that the history speaks of are called now. */
import { useMemo } from "react";
import { useObjects, usePools } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { session } from "@/api/session";
import { pathsOf } from "@/ui/groups";
import { hostsOf } from "@/ui/hosts";
import { useHostPath } from "@/ui/useHostPath";
import type { Names } from "./sentence";

export function useNames(): Names {
  const vms = useObjects("vm");
  const media = useObjects("medium");
  const groups = useObjects("group");
  const users = useObjects("user");
  const pools = usePools();
  const trash = useAnswer("post", "/t/trash/list", {}, { topics: ["trash"] }).data?.items;
  const hostPath = useHostPath();
  const { uid: me, name: myName } = session.present ?? {};
  return useMemo(() => {
    const vm = new Map(vms.map((one) => [one.vmid, one.name]));
    const medium = new Map<string, string>(media.map((one) => [one.mid, one.name]));
    const deleted = new Map(trash?.map((one) => [`${one.kind} ${one.id}`, one.name]));
    const user = new Map(users.map((one) => [one.uid, one.name]));
    const pool = new Map(pools.map((one) => [one.mpid, one.name]));
    const group = pathsOf(groups);
    const hosts = [...hostsOf(vms), ...hostsOf(pools), ...pools.flatMap((one) => one.hosts ?? [])];
    const host = new Map(hosts.map((one) => [one.id, one.name]));
    return {
      me,
      myName,
      vm: (vmid) => vm.get(vmid),
      medium: (mid) => medium.get(mid),
      group: (gid) => group.get(gid),
      user: (uid) => user.get(uid),
      pool: (mpid) => pool.get(mpid),
      host: (id) => host.get(id),
      hostPath,
      deleted: (kind, id) => deleted.get(`${kind} ${id}`),
    };
  }, [vms, media, groups, users, pools, trash, hostPath, me, myName]);
}
