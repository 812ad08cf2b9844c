/** The pages in the navigation, as the command palette offers them too. */
import type { Kind } from "@/api/live";
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
    { path: "/media", title: "Media", icon: "media", counts: "medium" },
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
