/** Who holds what on a group: directly, and from the groups above, told apart. */
import { useQueries } from "@tanstack/react-query";
import { useEffect, useMemo } from "react";
import { call } from "@/api/call";
import { type Group, live, useMay, useObjects } from "@/api/live";
import { queries } from "@/api/queries";
import { joined } from "./joined";
import { lineOf } from "./tree";

const keyOf = (gid: number) => ["/u/group", "post", { gid }];

/** What the groups tell of themselves and their members; asked again when something was done in them. */
export function useGroupInfos(gids: readonly number[]) {
  useEffect(
    () =>
      live.subscribe("history", (gid) => {
        void queries.invalidateQueries({ queryKey: gid === undefined ? ["/u/group"] : keyOf(gid) });
      }),
    [],
  );
  return useQueries({
    queries: gids.map((gid) => ({ queryKey: keyOf(gid), queryFn: () => call("post", "/u/group", { gid }) })),
    combine: (all) => ({
      infos: all.flatMap((one) => (one.data ? [one.data] : [])),
      error: all.find((one) => one.error)?.error ?? undefined,
      isPending: all.some((one) => one.isPending),
    }),
  });
}

/** After one's own change, without waiting to be told. */
export const readMembersAgain = (): Promise<void> =>
  Promise.all([
    queries.invalidateQueries({ queryKey: ["/u/group"] }),
    queries.invalidateQueries({ queryKey: ["/u/user"] }),
  ]).then(() => undefined);

export function useMembers(gid: number) {
  const groups = useObjects("group");
  const may = useMay();
  const line = useMemo(() => lineOf(groups, gid), [groups, gid]);
  const shown = line.filter((one: Group) => may("group.view", one.gid));
  const { infos, error, isPending } = useGroupInfos(shown.map((one) => one.gid));
  const own = shown[0]?.gid === gid;
  const members = useMemo(() => (own ? joined(infos) : []), [own, infos]);
  return {
    members,
    error,
    isPending,
    /** Groups above whose members the caller may not see. */ hidden: line.filter((one) => !shown.includes(one)),
  };
}
