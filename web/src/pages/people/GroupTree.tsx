/** The groups that the caller sees, as a tree with a search. */

import { Content, SearchInput, TreeView, type TreeViewDataItem } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { type Group, useObjects } from "@/api/live";
import { groupTitle } from "@/ui/groups";
import { type Branch, branches, fitting, lineOf, within } from "./tree";

export function GroupTree({ chosen, onChoose }: { chosen: number | undefined; onChoose: (gid: number) => void }) {
  const groups = useObjects("group");
  const vms = useObjects("vm");
  const [search, setSearch] = useState("");
  const tree = useMemo(() => branches(groups), [groups]);
  const open = useMemo(
    () => new Set(chosen === undefined ? [] : lineOf(groups, chosen).map((one) => one.gid)),
    [groups, chosen],
  );
  const found = useMemo(() => fitting(tree, search), [tree, search]);
  const counts = useMemo(() => {
    const own = new Map<number, number>();
    for (const vm of vms) own.set(vm.gid, (own.get(vm.gid) ?? 0) + 1);
    return own;
  }, [vms]);
  const item = (branch: Branch<Group>, depth: number): TreeViewDataItem => {
    const { group, below } = branch;
    const number = counts.get(group.gid) ?? 0;
    return {
      id: `group-${group.gid}`,
      name: groupTitle(group),
      defaultExpanded: depth < 2 || open.has(group.gid),
      ...(below.length > 0 ? { children: below.map((one) => item(one, depth + 1)) } : {}),
      ...(number > 0
        ? { customBadgeContent: number, hasBadge: true, badgeProps: { screenReaderText: number === 1 ? "VM" : "VMs" } }
        : {}),
    };
  };
  const data = found.map((one) => item(one, 0));
  return (
    <nav className="v-people-tree" aria-label="Groups">
      <SearchInput
        aria-label="Search groups"
        placeholder="Search"
        value={search}
        onChange={(_event, value) => setSearch(value)}
        onClear={() => setSearch("")}
      />
      {data.length > 0 ? (
        <TreeView
          key={search ? "found" : "all"}
          aria-label="Groups"
          data={data}
          hasSelectableNodes
          {...(search ? { allExpanded: true } : {})}
          activeItems={chosen === undefined ? [] : [{ id: `group-${chosen}`, name: "" }]}
          compareItems={(one, other) => one.id === other.id}
          onSelect={(_event, one) => onChoose(Number(one.id?.replace("group-", "")))}
        />
      ) : (
        <Content component="p" className="v-subtle" role="status">
          No group matches.
        </Content>
      )}
    </nav>
  );
}

/** How many VMs and media are in a group, and with all groups below it. */
export function useContents(gid: number) {
  const groups = useObjects("group");
  const vms = useObjects("vm");
  const media = useObjects("medium");
  return useMemo(() => {
    const below = within(groups, gid);
    const number = (all: readonly { gid: number }[]) => ({
      own: all.filter((one) => one.gid === gid).length,
      all: all.filter((one) => below.has(one.gid)).length,
    });
    return { vms: number(vms), media: number(media), groups: below.size - 1 };
  }, [groups, vms, media, gid]);
}
