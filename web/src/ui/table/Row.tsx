/** One row. PatternFly's cells measure their text when they are created, each causing a layout of the table. */
import { memo, type ReactNode } from "react";
import type { Column, Key } from "./column";

interface Props<T> {
  row: T;
  /** Its index, if only visible rows are in the document. */
  index: number | undefined;
  measure: ((element: Element | null) => void) | undefined;
  columns: readonly Column<T>[];
  name: string;
  id: Key;
  /** Absent: no selection. */
  chosen: boolean | undefined;
  /** A link has led to it. */
  marked: boolean;
  onChoose: (key: Key, on: boolean) => void;
  actions: ((row: T) => ReactNode) | undefined;
}

export const Row = memo(function Row<T>({
  row,
  index,
  measure,
  columns,
  name,
  id,
  chosen,
  marked,
  onChoose,
  actions,
}: Props<T>) {
  return (
    <tr
      ref={measure}
      data-index={index}
      aria-rowindex={index === undefined ? undefined : index + 2}
      aria-current={marked || undefined}
      className={chosen || marked ? "pf-v6-c-table__tr pf-m-selected" : "pf-v6-c-table__tr"}
    >
      {chosen !== undefined && (
        <td className="pf-v6-c-table__td pf-v6-c-table__check">
          <div className="pf-v6-c-check pf-m-standalone">
            <input
              type="checkbox"
              className="pf-v6-c-check__input"
              aria-label={`Select ${name}`}
              checked={chosen}
              onChange={(event) => onChoose(id, event.currentTarget.checked)}
            />
          </div>
        </td>
      )}
      {columns.map((column) => (
        <td
          key={column.key}
          data-label={column.title}
          data-unit={typeof column.unit === "function" ? column.unit(row) : column.unit}
          className={cellClass(column)}
        >
          {column.cell(row)}
        </td>
      ))}
      {actions && <td className="pf-v6-c-table__td pf-v6-c-table__action">{actions(row)}</td>}
    </tr>
  );
}) as <T>(props: Props<T>) => ReactNode;

function cellClass<T>({ nowrap, names, number, phone }: Column<T>): string {
  const parts = ["pf-v6-c-table__td", `v-cell-${names ? "name" : (phone ?? "second")}`];
  if (nowrap) parts.push("pf-m-nowrap");
  else if (names) parts.push("pf-m-break-word");
  if (number) parts.push("v-number");
  return parts.join(" ");
}
