/** What a table is made of: its columns, and what is chosen in it. */
import type { ReactNode } from "react";

export type Key = string | number;

export interface Column<T> {
  key: string;
  title: string;
  cell: (row: T) => ReactNode;
  /** What it is sorted by; absent: it cannot be. */
  sort?: (row: T) => string | number;
  /** What the search looks into; absent: `sort`, if that is text. */
  text?: (row: T) => string;
  /** Shown only when chosen. */
  optional?: boolean;
  /** The column that names the row. One of them. */
  names?: boolean;
  /** A length of CSS; columns without one share what is left. */
  width?: string;
  /** Its text stays on one line. */
  nowrap?: boolean;
  /** Numbers stand under each other by their ends. */
  number?: boolean;
  /** On a phone a row is two lines: beside the name, in the second line (which most are), or nowhere. */
  phone?: "first" | "second" | "none";
  /** What follows the value on a phone, where no head says it: "CPUs". */
  unit?: string | ((row: T) => string | undefined);
}

export interface Order {
  /** Of the column. */
  key: string;
  down: boolean;
}

export interface Chosen {
  /** The keys of the selected rows; absent: nothing can be selected. */
  selected: ReadonlySet<Key> | undefined;
  onChoose: (key: Key, on: boolean) => void;
}
