/** The pages in the navigation, as the command palette offers them too. */
import { useMemo } from "react";
import { type Kind, useObjects, useReady } from "@/api/live";
import type { IconName } from "@/look/Icon";

export interface Place {
  path: string;
  title: string;
  icon: IconName;
  /** What stands beside it: how many there are. */
  counts?: Kind;
}

/** Together in the navigation: what one works with, who may, and what happened. */
export const PARTS: readonly (readonly Place[])[] = [
  [
    { path: "/", title: "Dashboard", icon: "dashboard" },
    { path: "/vms", title: "Virtual machines", icon: "vm", counts: "vm" },
    { path: "/hosts", title: "Hosts", icon: "host" },
    { path: "/media", title: "Media", icon: "disc", counts: "medium" },
  ],
  [
    { path: "/groups", title: "Groups", icon: "groups", counts: "group" },
    { path: "/users", title: "Users", icon: "users", counts: "user" },
  ],
  [
    { path: "/tasks", title: "Tasks", icon: "tasks", counts: "task" },
    { path: "/history", title: "History", icon: "history" },
    { path: "/trash", title: "Trash", icon: "trash" },
    { path: "/settings", title: "My settings", icon: "settings" },
  ],
];
export const PLACES = PARTS.flat();

/** Places that show nothing to who lacks a permission everywhere. */
const NEEDS: Record<string, string> = { "/hosts": "host.view", "/users": "user.list", "/history": "user.view" };

/** Those that have something for the person. Before it is known what they may do: all. */
export function usePlaces(): (place: Place) => boolean {
  const groups = useObjects("group");
  const ready = useReady();
  return useMemo(() => {
    const held = new Set(groups.flatMap((group) => group.permissions));
    return ({ path }) => !ready || NEEDS[path] === undefined || held.has(`velocity.${NEEDS[path]}` as never);
  }, [groups, ready]);
}
