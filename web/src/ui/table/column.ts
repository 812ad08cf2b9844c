/** What a table consists of: columns, and the user's choices. */
import type { ReactNode } from "react";

export type Key = string | number;

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** The sort key; absent: cannot be sorted. */
  sort?: (row: T) => string | number;
  /** The text to search; absent: `sort`, if that is text. */
  text?: (row: T) => string;
  /** Hidden by default. */
  optional?: boolean;
  /** Identifies the row. Exactly one column. */
  names?: boolean;
  /** A CSS length; columns without one share the rest. */
  width?: string;
  /** Does not wrap. */
  nowrap?: boolean;
  /** Numbers are aligned right. */
  number?: boolean;
  /** On phones a row has two lines: beside the name, in the second line (the default), or hidden. */
  phone?: "first" | "second" | "none";
  /** The unit after the value on phones, where there are no column heads: "CPUs". */
  unit?: string | ((row: T) => string | undefined);
}

export interface Order {
  /** The column's id. */
  key: string;
  down: boolean;
}

export interface Chosen {
  /** The keys of the selected rows; absent: no selection. */
  selected: ReadonlySet<Key> | undefined;
  onChoose: (key: Key, on: boolean) => void;
}
