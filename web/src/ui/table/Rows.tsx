/** The matching rows. If there are many, only visible ones are in the document. */
import "@patternfly/react-styles/css/components/Table/table.css";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type CSSProperties, type ReactNode, useEffect, useRef, useState } from "react";
import type { Chosen, Column, Key, Order } from "./column";
import { Head } from "./Head";
import { Row } from "./Row";
import { moveByArrow } from "./rowKeys";

/** Height of a row with one line, in pixels. */
const ROW = 37;
/** What a column without a width has at least where the columns are fixed, and those of the checkbox and of actions. */
const [LEAST, CHECK, ACTIONS] = ["8rem", "2.75rem", "8rem"];
/** Up to this number all rows are in the document, so that the browser's search finds them. */
const FEW = 40;

interface Props<T> extends Chosen {
  label: string;
  found: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => Key;
  rowName: (row: T) => string;
  rowActions: ((row: T) => ReactNode) | undefined;
  actionsWidth: string | undefined;
  marked: Key | undefined;
  order: Order;
  onSort: (order: Order) => void;
  allChosen: boolean;
  onChooseAll: (on: boolean) => void;
}

export function Rows<T>(props: Props<T>) {
  const { label, found, columns, order, onSort, selected, allChosen, onChoose, onChooseAll } = props;
  const { rowKey, rowName, rowActions, marked } = props;
  const scroll = useRef<HTMLElement>(null);
  /** The marked row that was scrolled into view: once. */
  const shown = useRef<Key>(undefined);
  const many = found.length > FEW;
  const virtual = useVirtualizer({
    count: many ? found.length : 0,
    getScrollElement: () => scroll.current,
    estimateSize: () => ROW,
    overscan: 4,
    // told by the browser after it has laid them out: to ask for the height would make it lay them out at once
    measureElement: (_element, entry) => Math.round(entry?.borderBoxSize[0]?.blockSize ?? ROW),
  });
  const items = virtual.getVirtualItems();
  const before = items[0]?.start ?? 0;
  const after = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  useEffect(() => {
    const index = marked === undefined ? -1 : found.findIndex((row) => rowKey(row) === marked);
    if (index < 0 || shown.current === marked) return;
    shown.current = marked;
    if (many) virtual.scrollToIndex(index, { align: "center" });
    else scroll.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }, [marked, found, rowKey, many, virtual]);
  const [wide, setWide] = useState(false);
  useEffect(() => {
    const [section, table] = [scroll.current, scroll.current?.firstElementChild];
    if (!many || !section || !table) return;
    const observer = new ResizeObserver(() => setWide(table.clientWidth > section.clientWidth));
    observer.observe(section);
    observer.observe(table);
    return () => observer.disconnect();
  }, [many]);
  const width = columns.length + (selected ? 1 : 0) + (rowActions ? 1 : 0);
  const widths = [CHECK, props.actionsWidth ?? ACTIONS, ...columns.map((column) => column.width ?? LEAST)];
  const one = (row: T, index?: number) => (
    <Row
      key={rowKey(row)}
      row={row}
      index={index}
      measure={many ? virtual.measureElement : undefined}
      columns={columns}
      name={rowName(row)}
      id={rowKey(row)}
      chosen={selected?.has(rowKey(row))}
      marked={marked !== undefined && rowKey(row) === marked}
      onChoose={onChoose}
      actions={rowActions}
    />
  );
  return (
    <section
      ref={scroll}
      className={`v-rows${many ? " v-rows-many" : ""}${many && wide ? " v-rows-wide" : ""}`}
      tabIndex={many ? 0 : -1}
      aria-label={label}
      onKeyDown={moveByArrow}
    >
      <table
        className={`pf-v6-c-table pf-m-compact${many ? " pf-m-sticky-header" : ""}`}
        aria-label={label}
        aria-rowcount={found.length + 1}
        style={{ "--v-columns": `calc(${widths.join(" + ")})` } as CSSProperties}
      >
        <Head
          columns={columns}
          order={order}
          onSort={onSort}
          allChosen={selected && allChosen}
          onChooseAll={onChooseAll}
          hasActions={rowActions !== undefined}
          actionsWidth={many ? props.actionsWidth : undefined}
        />
        <tbody className="pf-v6-c-table__tbody">
          {many ? (
            <>
              <Space height={before} width={width} />
              {items.map((item) => one(found[item.index] as T, item.index))}
              <Space height={after} width={width} />
            </>
          ) : (
            found.map((row) => one(row))
          )}
        </tbody>
      </table>
    </section>
  );
}

/** Space for the rows that are not in the document. */
function Space({ height, width }: { height: number; width: number }) {
  return height > 0 ? (
    <tr className="v-space">
      <td colSpan={width} style={{ height }} />
    </tr>
  ) : null;
}
