/** The media that VMs of a group can use. */
import { useMemo } from "react";
import { type Medium, useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { HostRef } from "@/api/schema";
import { isOn } from "./hosts";

/** Visible ones, and ISOs of the group's ancestors, which all groups below share. */
export function useAttachable(gid: number): readonly Medium[] {
  const seen = useObjects("medium");
  const may = useMay();
  const shared = useAnswer("post", "/m/media/list", { gid }, { enabled: may("media.list", gid) }).data?.shared;
  return useMemo(() => {
    const known = new Set(seen.map((one) => one.mid));
    const others = shared?.filter((one) => !known.has(one.mid)) ?? [];
    return others.length > 0 ? [...seen, ...others] : seen;
  }, [seen, shared]);
}

/** Those that are not known to be on another host than the VM. */
export function useReachable(media: readonly Medium[], gid: number, host: HostRef | undefined): readonly Medium[] {
  const may = useMay();
  const enabled = host !== undefined && may("pool.list", gid);
  const pools = useAnswer("post", "/m/pool/list", { gid }, { topics: ["pool"], enabled }).data?.pools;
  return useMemo(() => {
    const elsewhere = new Set(pools?.filter((one) => host && !isOn(one, String(host.id))).map((one) => one.mpid));
    return elsewhere.size === 0 ? media : media.filter((one) => !elsewhere.has(one.mpid));
  }, [media, pools, host]);
}
