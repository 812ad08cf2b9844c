/** What single keys do, where nobody types: as tables, for the handler, the help and the tests. */
export const GO = "g";
/** After `g`: a letter of each place. */
export const PLACE_KEYS: Record<string, string> = {
  d: "/",
  v: "/vms",
  o: "/hosts",
  m: "/media",
  g: "/groups",
  u: "/users",
  t: "/tasks",
  h: "/history",
  r: "/trash",
  s: "/settings",
};
export const KEY_WORDS: Record<string, string> = {
  "?": "Show these shortcuts",
  "/": "Search in the table",
  c: "Create a virtual machine",
};

export type Shortcut = { is: "go"; path: string } | { is: "find" } | { is: "help" };

/** What a key does; `before`: the key before it, if that was a moment ago. */
export function shortcutOf(key: string, before: string | undefined): Shortcut | undefined {
  if (before === GO) {
    const path = PLACE_KEYS[key];
    return path === undefined ? undefined : { is: "go", path };
  }
  if (key === "?") return { is: "help" };
  if (key === "/") return { is: "find" };
  if (key === "c") return { is: "go", path: "/create" };
  return undefined;
}

/** Under which the browser keeps it. */
export const RECENT = "recent";
const KEPT = 8;

/** What the palette shows first: the last that was gone to or run, each once. */
export const remembered = (recent: readonly string[], id: string): string[] =>
  [id, ...recent.filter((one) => one !== id)].slice(0, KEPT);

/** The palette's entry of an address, if it is that of one thing. */
export function entryOf(pathname: string): string | undefined {
  const [, place, id] = /^\/(vms|groups|users)\/(\d+)(?:\/|$)/.exec(pathname) ?? [];
  return place && `${{ vms: "vm", groups: "g", users: "u" }[place]}-${id}`;
}

/** Those that were used lately first, the newest at the top. */
export function recentFirst<T extends { id: string }>(entries: readonly T[], recent: readonly string[]): T[] {
  const known = new Map(entries.map((one) => [one.id, one]));
  const first = recent.map((id) => known.get(id)).filter((one) => one !== undefined);
  const shown = new Set(first);
  return [...first, ...entries.filter((one) => !shown.has(one))];
}
