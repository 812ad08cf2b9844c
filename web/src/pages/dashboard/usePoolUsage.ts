/** The pools that the caller sees: their disks, for who may see the host, and what their groups may have of them. */
import { useQueries } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { call } from "@/api/call";
import { live, useMay, useObjects } from "@/api/live";
import { queries } from "@/api/queries";
import type { HostInfo, Pools } from "@/api/schema";
import { pathsOf } from "@/ui/groups";
import { arranged, type PoolUsage } from "./poolUsage";

const PATH = "/m/pool/list";
/** Groups that are asked about. Who sees more looks at the groups themselves. */
const MOST = 12;

/** `waiting`: the host is being asked, and its disks come before what is known without it. */
export function usePoolUsage(
  host: HostInfo | undefined,
  waiting: boolean,
): { rooms: PoolUsage[]; error: unknown; more: boolean } {
  const groups = useObjects("group");
  const may = useMay();
  const paths = useMemo(() => pathsOf(groups), [groups]);
  const all = useMemo(
    () =>
      groups
        .filter((group) => may("pool.list", group.gid))
        .map((group) => ({
          gid: group.gid,
          parent: group.parent_gid,
          path: paths.get(group.gid) ?? `group ${group.gid}`,
          depth: group.gid === 0 ? -1 : (paths.get(group.gid) ?? "").split("/").length,
        }))
        .sort((a, b) => a.depth - b.depth || a.gid - b.gid),
    [groups, may, paths],
  );
  const asked = all.slice(0, MOST);
  useEffect(() => {
    const again = () => void queries.invalidateQueries({ queryKey: [PATH] });
    const ends = [live.subscribe("pool", again), live.subscribe("quota", again)];
    return () => {
      for (const end of ends) end();
    };
  }, []);
  const answers = useQueries({
    queries: asked.map(({ gid }) => ({
      queryKey: [PATH, "post", { gid }],
      queryFn: (): Promise<Pools> => call("post", PATH, { gid }),
    })),
  });
  const rooms = waiting
    ? []
    : arranged(
        host,
        asked.map((group, index) => ({ ...group, pools: answers[index]?.data?.pools ?? [] })),
      );
  return {
    rooms,
    error: answers.find((answer) => answer.error)?.error,
    more: all.length > MOST,
  };
}
