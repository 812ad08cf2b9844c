/** Which rows are shown, in which order. A row's search text is computed once, until the row changes. */
import type { Column, Order } from "./column";

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });

export function sorted<T>(rows: readonly T[], columns: readonly Column<T>[], order: Order): readonly T[] {
  const by = columns.find((one) => one.key === order.key)?.sort;
  if (!by) return rows;
  const sign = order.down ? -1 : 1;
  const keyed = rows.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => sign * compare(a.key, b.key));
  return keyed.map((one) => one.row);
}

const compare = (a: string | number, b: string | number): number =>
  typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));

/** The rows that contain every word, in order. */
export function finder<T extends object>(
  columns: readonly Column<T>[],
): (rows: readonly T[], search: string) => readonly T[] {
  const looked = columns.map((one) => one.text ?? one.sort).filter((one) => one !== undefined);
  const known = new WeakMap<T, string>();
  const textOf = (row: T): string => {
    let text = known.get(row);
    if (text === undefined) {
      text = looked
        .map((one) => one(row))
        .join("\n")
        .toLowerCase();
      known.set(row, text);
    }
    return text;
  };
  return (rows, search) => {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) return rows;
    return rows.filter((row) => {
      const text = textOf(row);
      return words.every((word) => text.includes(word));
    });
  };
}
