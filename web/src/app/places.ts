/** The pages in the navigation, as the command palette offers them too. */
export const PLACES = [
  { path: "/", title: "Dashboard" },
  { path: "/vms", title: "Virtual machines" },
  { path: "/media", title: "Media" },
  { path: "/groups", title: "Groups" },
  { path: "/users", title: "Users" },
  { path: "/tasks", title: "Tasks" },
  { path: "/history", title: "History" },
  { path: "/trash", title: "Trash" },
  { path: "/settings", title: "My settings" },
] as const;
