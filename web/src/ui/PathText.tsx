/** A group's path in a column: of a long one its last name, and all of it on pointing at it. */

/** Characters that stand in two lines of a column. */
const LONG = 28;

export function PathText({ path, before = "" }: { path: string; before?: string }) {
  return (
    <span className="v-two-lines" title={path.length > LONG ? path : undefined}>
      {before}
      {shortPath(path)}
    </span>
  );
}

/** "…/staging"; a slash within a name is escaped, and divides nothing. */
export function shortPath(path: string): string {
  const [last, ...above] = path.split(/(?<!\\)\//).reverse();
  return path.length > LONG && last && above.length > 0 ? `…/${last}` : path;
}
