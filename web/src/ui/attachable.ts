/** The media that a group's VMs can have. */
import { useMemo } from "react";
import { type Medium, useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";

/** Those that the caller sees, and the ISOs of the groups above, which are shared with all groups below. */
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
