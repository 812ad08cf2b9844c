import { expect, test } from "vitest";
import { finder, sorted } from "./arrange";
import type { Column } from "./column";

interface Row {
  name: string;
  size: number;
}
let asked = 0;
const COLUMNS: Column<Row>[] = [
  { key: "name", title: "Name", cell: (one) => one.name, sort: (one) => one.name },
  {
    key: "size",
    title: "Size",
    cell: (one) => one.size,
    sort: (one) => one.size,
    text: (one) => {
      asked += 1;
      return `${one.size} GiB`;
    },
  },
  { key: "note", title: "Note", cell: () => "never looked into" },
];
const ROWS: Row[] = [
  { name: "web10", size: 2 },
  { name: "Web9", size: 30 },
  { name: "data", size: 4 },
];
const names = (rows: readonly Row[]) => rows.map((one) => one.name);

test("numbers in names count, capitals do not", () => {
  expect(names(sorted(ROWS, COLUMNS, { key: "name", down: false }))).toEqual(["data", "Web9", "web10"]);
  expect(names(sorted(ROWS, COLUMNS, { key: "size", down: true }))).toEqual(["Web9", "data", "web10"]);
});

test("what cannot be sorted stays as it is", () => {
  expect(sorted(ROWS, COLUMNS, { key: "note", down: false })).toBe(ROWS);
});

test("every word must occur, in any column", () => {
  const find = finder(COLUMNS);
  expect(names(find(ROWS, "  WEB 30 "))).toEqual(["Web9"]);
  expect(find(ROWS, "web never")).toEqual([]);
  expect(find(ROWS, " ")).toBe(ROWS);
});

test("while a row stays the same, it is read once for any number of searches", () => {
  const find = finder(COLUMNS);
  asked = 0;
  for (const search of ["w", "we", "web", "web1"]) find(ROWS, search);
  expect(asked).toBe(3);
  find([...ROWS, { name: "new", size: 1 }], "web1");
  expect(asked).toBe(4);
});
