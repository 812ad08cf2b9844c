/**
 * A table that stays quick with thousands of rows: search, sort, select, columns that are remembered, and only the rows
 * in sight in the document. On a phone each row becomes a card.
 */
import { Button, EmptyState, EmptyStateBody, SearchInput } from "@patternfly/react-core";
import { type ReactNode, useCallback, useDeferredValue, useEffect, useMemo, useState } from "react";
import { readStored, writeStored } from "@/api/stored";
import { count } from "../format";
import { finder, sorted } from "./arrange";
import { ColumnChoice } from "./ColumnChoice";
import type { Chosen, Column, Key, Order } from "./column";
import { Rows } from "./Rows";

export type { Chosen, Column } from "./column";

interface Props<T> {
  /** The key under which the choice of columns is stored. */
  id: string;
  /** "Virtual machines", for screen readers. */
  label: string;
  noun: string;
  /** The plural; absent: the noun with an s. */
  nouns?: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => Key;
  /** The row's name, for the label of its checkbox. */
  rowName: (row: T) => string;
  /** The page's own filters, in the toolbar. */
  filters?: ReactNode;
  /** Actions for the selected rows; absent: no selection. */
  bulk?: (selected: T[], clear: () => void) => ReactNode;
  /** The row that a link has led to: highlighted and scrolled into view. */
  marked?: Key | undefined;
  /** The menu or buttons at the end of a row. */
  rowActions?: (row: T) => ReactNode;
  /** How wide that is where only the rows in sight are in the document. */
  actionsWidth?: string;
  /** Shown if there are no rows at all. */
  empty: ReactNode;
  search?: string;
  /** Called with the search text, to keep it in the address. */
  onSearch?: (search: string) => void;
  sortBy?: { key: string; down?: boolean };
  /** Called with the shown columns: some are requested only then. */
  onShown?: (keys: readonly string[]) => void;
  /** Shows the matching rows in another form, such as cards. */
  instead?: (found: readonly T[], choice: Chosen) => ReactNode;
}

const NONE: ReadonlySet<Key> = new Set();

export function DataTable<T extends object>(props: Props<T>) {
  const { id, label, noun, nouns, rows, columns, rowKey, filters, bulk, empty, onSearch, onShown, instead } = props;
  const [search, setWords] = useState(props.search ?? "");
  /** Absent: nobody has chosen, and the usual ones are shown, also those that are usual only now. */
  const [chosenColumns, setChosenColumns] = useState(() =>
    readStored<string[] | undefined>(`columns.${id}`, undefined),
  );
  const shown = useMemo(
    () => chosenColumns ?? columns.filter((one) => !one.optional).map((one) => one.key),
    [chosenColumns, columns],
  );
  const [order, setOrder] = useState(() =>
    readStored<Order>(`order.${id}`, {
      key: props.sortBy?.key ?? columns[0]?.key ?? "",
      down: props.sortBy?.down ?? false,
    }),
  );
  const [selected, setSelected] = useState(NONE);
  const words = useDeferredValue(search);
  const visible = useMemo(() => columns.filter((one) => one.names || shown.includes(one.key)), [columns, shown]);
  const find = useMemo(() => finder(columns), [columns]);
  const all = useMemo(() => sorted(rows, columns, order), [rows, columns, order]);
  const found = useMemo(() => find(all, words), [find, all, words]);
  const chosen = useMemo(
    () => (selected.size > 0 ? found.filter((row) => selected.has(rowKey(row))) : []),
    [found, selected, rowKey],
  );
  const setSearch = (words: string) => {
    setWords(words);
    onSearch?.(words);
  };
  const clear = useCallback(() => setSelected(NONE), []);
  const choose = useCallback((key: Key, on: boolean) => {
    setSelected((before) => {
      const after = new Set(before);
      if (on) after.add(key);
      else after.delete(key);
      return after;
    });
  }, []);
  const chooseAll = useCallback((on: boolean) => setSelected(on ? new Set(found.map(rowKey)) : NONE), [found, rowKey]);
  const sortBy = useCallback(
    (next: Order) => {
      setOrder(next);
      writeStored(`order.${id}`, next);
    },
    [id],
  );
  useEffect(() => onShown?.(shown), [onShown, shown]);
  if (rows.length === 0 && !filters) return empty;
  const showColumns = (keys: string[]) => {
    setChosenColumns(keys);
    writeStored(`columns.${id}`, keys);
  };
  return (
    <>
      <div className="v-toolbar">
        <SearchInput
          aria-label={`Search ${label.toLowerCase()}`}
          placeholder="Search"
          value={search}
          onChange={(_event, value) => setSearch(value)}
          onClear={() => setSearch("")}
        />
        {filters}
        <div className="v-toolbar-end">
          {bulk && chosen.length > 0 && bulk(chosen, clear)}
          <span role="status" className="v-subtle">
            {chosen.length > 0
              ? `${count(chosen.length, noun, nouns)} selected`
              : found.length === rows.length
                ? count(rows.length, noun, nouns)
                : `${found.length.toLocaleString()} of ${count(rows.length, noun, nouns)}`}
          </span>
          {!instead && <ColumnChoice columns={columns} shown={shown} onChange={showColumns} />}
        </div>
      </div>
      {rows.length === 0 ? (
        empty
      ) : found.length === 0 ? (
        <EmptyState titleText={`No ${noun} matches the search`} headingLevel="h2">
          <EmptyStateBody>
            <Button variant="link" onClick={() => setSearch("")}>
              Clear the search
            </Button>
          </EmptyStateBody>
        </EmptyState>
      ) : instead ? (
        instead(found, { selected: bulk ? selected : undefined, onChoose: choose })
      ) : (
        <Rows
          label={label}
          found={found}
          columns={visible}
          rowKey={rowKey}
          rowName={props.rowName}
          rowActions={props.rowActions}
          actionsWidth={props.actionsWidth}
          marked={props.marked}
          order={order}
          onSort={sortBy}
          selected={bulk ? selected : undefined}
          allChosen={chosen.length === found.length}
          onChoose={choose}
          onChooseAll={chooseAll}
        />
      )}
    </>
  );
}
