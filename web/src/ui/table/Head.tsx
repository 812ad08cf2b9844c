/**
 * The head of a table. Its markup is PatternFly's; its components are not, as they lay the whole table out anew whenever
 * the rows are painted.
 */
import { memo } from "react";
import { Icon } from "@/look/Icon";
import type { Column, Order } from "./column";

interface Props {
  columns: readonly Pick<Column<never>, "key" | "title" | "sort" | "width" | "number">[];
  order: Order;
  onSort: (order: Order) => void;
  /** Absent: no selection. */
  allChosen: boolean | undefined;
  onChooseAll: (on: boolean) => void;
  hasActions: boolean;
  actionsWidth: string | undefined;
}

/** Rendered again only when it changes, not while rows are scrolled. */
export const Head = memo(function Head({
  columns,
  order,
  onSort,
  allChosen,
  onChooseAll,
  hasActions,
  actionsWidth,
}: Props) {
  return (
    <thead className="pf-v6-c-table__thead">
      <tr className="pf-v6-c-table__tr">
        {allChosen !== undefined && (
          <th scope="col" className="pf-v6-c-table__th pf-v6-c-table__check">
            <div className="pf-v6-c-check pf-m-standalone">
              <input
                type="checkbox"
                className="pf-v6-c-check__input"
                aria-label="Select all"
                checked={allChosen}
                onChange={(event) => onChooseAll(event.currentTarget.checked)}
              />
            </div>
          </th>
        )}
        {columns.map((column) =>
          column.sort ? (
            <Sortable
              key={column.key}
              title={column.title}
              width={column.width}
              number={column.number}
              down={column.key === order.key ? order.down : undefined}
              onSort={(down) => onSort({ key: column.key, down })}
            />
          ) : (
            <th
              key={column.key}
              scope="col"
              className={`pf-v6-c-table__th pf-m-nowrap${column.number ? " v-number" : ""}`}
              style={{ inlineSize: column.width }}
            >
              {column.title}
            </th>
          ),
        )}
        {hasActions && (
          <th scope="col" className="pf-v6-c-table__th pf-m-nowrap v-rows-actions" style={{ inlineSize: actionsWidth }}>
            <span className="v-hidden-text">Actions</span>
          </th>
        )}
      </tr>
    </thead>
  );
});

interface SortableProps {
  title: string;
  width: string | undefined;
  number: boolean | undefined;
  /** Absent: sorted by another column. */
  down: boolean | undefined;
  onSort: (down: boolean) => void;
}

function Sortable({ title, width, number, down, onSort }: SortableProps) {
  const chosen = down !== undefined;
  return (
    <th
      scope="col"
      className={`pf-v6-c-table__th pf-m-nowrap pf-v6-c-table__sort${chosen ? " pf-m-selected" : ""}${number ? " v-number" : ""}`}
      aria-sort={chosen ? (down ? "descending" : "ascending") : undefined}
      style={{ inlineSize: width }}
    >
      <button type="button" className="pf-v6-c-table__button" onClick={() => onSort(down === false)}>
        <div className="pf-v6-c-table__button-content">
          <span className="pf-v6-c-table__text">{title}</span>
          <span className="pf-v6-c-table__sort-indicator">
            <Icon name={down ? "down" : "up"} />
          </span>
        </div>
      </button>
    </th>
  );
}
