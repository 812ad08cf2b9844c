/**
 * A table that stays quick with thousands of rows: search, sort, select, columns that are remembered, and only the rows
 * in sight in the document. On a phone each row becomes a card.
 */
import {
  Button,
  EmptyState,
  EmptyStateBody,
  Menu,
  MenuContent,
  MenuItem,
  MenuList,
  MenuToggle,
  SearchInput,
  Toolbar,
  ToolbarContent,
  ToolbarGroup,
  ToolbarItem,
} from "@patternfly/react-core";
import { ColumnsIcon } from "@patternfly/react-icons";
import { Table, Tbody, Th, Thead, type ThProps, Tr } from "@patternfly/react-table";
import { useVirtualizer } from "@tanstack/react-virtual";
import { memo, type ReactNode, useCallback, useDeferredValue, useMemo, useRef, useState } from "react";
import { keep, kept } from "@/app/kept";
import { Dropdown } from "@/ui/Dropdown";
import { count } from "./format";

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
  width?: ThProps["width"];
  /** Its text stays on one line. */
  nowrap?: boolean;
}

interface Props<T> {
  /** Under which the choice of columns is kept. */
  id: string;
  /** "Virtual machines", for a screen reader. */
  label: string;
  noun: string;
  /** The noun of several; absent: with an s. */
  nouns?: string;
  rows: readonly T[];
  columns: readonly Column<T>[];
  rowKey: (row: T) => string | number;
  /** The row as a word, for the label of its checkbox. */
  rowName: (row: T) => string;
  /** Filters of the page's own, in the toolbar. */
  filters?: ReactNode;
  /** What can be done with the selected rows; absent: nothing can be selected. */
  bulk?: (selected: T[], clear: () => void) => ReactNode;
  /** The menu or buttons at the end of a row. */
  rowActions?: (row: T) => ReactNode;
  /** Shown when there are no rows at all. */
  empty: ReactNode;
  search?: string;
  /** Told of what is searched for, to keep it in the address. */
  onSearch?: (search: string) => void;
  sortBy?: { key: string; down?: boolean };
  /** Shows what was found instead of the rows: cards, for one. */
  instead?: (found: readonly T[], choice: Chosen) => ReactNode;
}

export interface Chosen {
  /** The keys of the selected rows; absent: nothing can be selected. */
  selected: ReadonlySet<string | number> | undefined;
  onChoose: (key: string | number, on: boolean) => void;
}

const ROW = 41;
/** Up to here all rows are in the document: the browser's own search finds them. */
const FEW = 40;

export function DataTable<T>(props: Props<T>) {
  const { id, label, noun, nouns, rows, columns, rowKey, filters, bulk, empty, onSearch, instead } = props;
  const [search, setWords] = useState(props.search ?? "");
  const [shown, setShown] = useState<string[]>(() =>
    kept(
      `columns.${id}`,
      columns.filter((one) => !one.optional).map((one) => one.key),
    ),
  );
  const [order, setOrder] = useState(() =>
    kept<{ key: string; down: boolean }>(`order.${id}`, {
      key: props.sortBy?.key ?? columns[0]?.key ?? "",
      down: props.sortBy?.down ?? false,
    }),
  );
  const [selected, setSelected] = useState<ReadonlySet<string | number>>(new Set());
  const words = useDeferredValue(search);
  const visible = useMemo(() => columns.filter((one) => one.names || shown.includes(one.key)), [columns, shown]);
  const found = useMemo(() => arrange(rows, columns, words, order), [rows, columns, words, order]);
  const chosen = useMemo(() => found.filter((row) => selected.has(rowKey(row))), [found, selected, rowKey]);
  const setSearch = (words: string) => {
    setWords(words);
    onSearch?.(words);
  };
  const clear = useCallback(() => setSelected(new Set()), []);
  const choose = useCallback((key: string | number, on: boolean) => {
    setSelected((before) => {
      const after = new Set(before);
      if (on) after.add(key);
      else after.delete(key);
      return after;
    });
  }, []);
  const chooseAll = useCallback(
    (on: boolean) => setSelected(on ? new Set(found.map(rowKey)) : new Set()),
    [found, rowKey],
  );
  const sortBy = useCallback(
    (key: string, down: boolean) => {
      setOrder({ key, down });
      keep(`order.${id}`, { key, down });
    },
    [id],
  );
  if (rows.length === 0 && !filters) return empty;
  const showColumns = (keys: string[]) => {
    setShown(keys);
    keep(`columns.${id}`, keys);
  };
  return (
    <>
      <Toolbar clearAllFilters={() => setSearch("")} className="v-toolbar">
        <ToolbarContent>
          <ToolbarItem>
            <SearchInput
              aria-label={`Search ${label.toLowerCase()}`}
              placeholder="Search"
              value={search}
              onChange={(_event, value) => setSearch(value)}
              onClear={() => setSearch("")}
            />
          </ToolbarItem>
          {filters}
          <ToolbarGroup variant="action-group" align={{ default: "alignEnd" }}>
            {bulk && chosen.length > 0 && bulk(chosen, clear)}
            <ToolbarItem alignSelf="center">
              <span role="status" className="v-subtle">
                {chosen.length > 0
                  ? `${count(chosen.length, noun, nouns)} selected`
                  : found.length === rows.length
                    ? count(rows.length, noun, nouns)
                    : `${found.length.toLocaleString()} of ${count(rows.length, noun, nouns)}`}
              </span>
            </ToolbarItem>
            {!instead && (
              <ToolbarItem>
                <Columns columns={columns} shown={shown} onChange={showColumns} />
              </ToolbarItem>
            )}
          </ToolbarGroup>
        </ToolbarContent>
      </Toolbar>
      {rows.length === 0 ? (
        empty
      ) : found.length === 0 ? (
        <EmptyState titleText="Nothing fits the search" headingLevel="h2">
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
          {...props}
          found={found}
          visible={visible}
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

interface RowsProps<T> extends Props<T> {
  found: T[];
  visible: Column<T>[];
  order: { key: string; down: boolean };
  onSort: (key: string, down: boolean) => void;
  selected: ReadonlySet<string | number> | undefined;
  allChosen: boolean;
  onChoose: (key: string | number, on: boolean) => void;
  onChooseAll: (on: boolean) => void;
}

function Rows<T>(props: RowsProps<T>) {
  const { label, found, visible, order, onSort, selected, allChosen, onChoose, onChooseAll } = props;
  const { rowKey, rowName, rowActions } = props;
  const scroll = useRef<HTMLElement>(null);
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
  const width = visible.length + (selected ? 1 : 0) + (rowActions ? 1 : 0);
  const one = (row: T, index?: number) => (
    <Row
      key={rowKey(row)}
      row={row}
      index={index}
      measure={many ? virtual.measureElement : undefined}
      columns={visible}
      name={rowName(row)}
      id={rowKey(row)}
      chosen={selected?.has(rowKey(row))}
      onChoose={onChoose}
      actions={rowActions}
    />
  );
  return (
    <section
      ref={scroll}
      className={many ? "v-rows v-rows-many" : "v-rows"}
      tabIndex={many ? 0 : -1}
      aria-label={label}
    >
      <Table
        aria-label={label}
        variant="compact"
        isStickyHeader={many}
        aria-rowcount={found.length + 1}
        gridBreakPoint="grid-md"
      >
        <Head
          columns={visible as Column<unknown>[]}
          order={order}
          onSort={onSort}
          allChosen={selected && allChosen}
          onChooseAll={onChooseAll}
          hasActions={rowActions !== undefined}
        />
        <Tbody>
          {many ? (
            <>
              <Space height={before} width={width} />
              {items.map((item) => one(found[item.index] as T, item.index))}
              <Space height={after} width={width} />
            </>
          ) : (
            found.map((row) => one(row))
          )}
        </Tbody>
      </Table>
    </section>
  );
}

interface HeadProps {
  columns: readonly Column<unknown>[];
  order: { key: string; down: boolean };
  onSort: (key: string, down: boolean) => void;
  /** Absent: nothing can be selected. */
  allChosen: boolean | undefined;
  onChooseAll: (on: boolean) => void;
  hasActions: boolean;
}

/** Made anew only when it changes, not whenever the rows are scrolled. */
const Head = memo(function Head({ columns, order, onSort, allChosen, onChooseAll, hasActions }: HeadProps) {
  return (
    <Thead>
      <Tr>
        {allChosen !== undefined && (
          <Th
            select={{
              onSelect: (_event, on) => onChooseAll(on),
              isSelected: allChosen,
              isHeaderSelectDisabled: false,
            }}
            aria-label="Select all"
          />
        )}
        {columns.map((column, index) => (
          <Th
            key={column.key}
            width={column.width}
            modifier="nowrap"
            sort={
              column.sort && {
                columnIndex: index,
                sortBy: {
                  index: columns.findIndex((it) => it.key === order.key),
                  direction: order.down ? "desc" : "asc",
                },
                onSort: (_event, _index, direction) => onSort(column.key, direction === "desc"),
              }
            }
          >
            {column.title}
          </Th>
        ))}
        {hasActions && <Th screenReaderText="Actions" />}
      </Tr>
    </Thead>
  );
});

/** What is not in the document takes its room. */
function Space({ height, width }: { height: number; width: number }) {
  return height > 0 ? (
    <tr className="v-space">
      <td colSpan={width} style={{ height }} />
    </tr>
  ) : null;
}

interface RowProps<T> {
  row: T;
  index: number | undefined;
  measure: ((element: Element | null) => void) | undefined;
  columns: Column<T>[];
  name: string;
  id: string | number;
  chosen: boolean | undefined;
  onChoose: (key: string | number, on: boolean) => void;
  actions: ((row: T) => ReactNode) | undefined;
}

/** PatternFly's own cells measure their text when they are made, each laying the table out anew: these are as its are. */
const Row = memo(function Row<T>({ row, index, measure, columns, name, id, chosen, onChoose, actions }: RowProps<T>) {
  return (
    <tr
      ref={measure}
      data-index={index}
      aria-rowindex={index === undefined ? undefined : index + 2}
      className={chosen ? "pf-v6-c-table__tr pf-m-selected" : "pf-v6-c-table__tr"}
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
          className={`pf-v6-c-table__td${column.nowrap ? " pf-m-nowrap" : column.names ? " pf-m-break-word" : ""}`}
        >
          {column.cell(row)}
        </td>
      ))}
      {actions && <td className="pf-v6-c-table__td pf-v6-c-table__action">{actions(row)}</td>}
    </tr>
  );
}) as <T>(props: RowProps<T>) => ReactNode;

function arrange<T>(
  rows: readonly T[],
  columns: readonly Column<T>[],
  search: string,
  order: { key: string; down: boolean },
): T[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  const texts = columns.map((one) => one.text ?? one.sort).filter((one) => one !== undefined);
  const found = words.length
    ? rows.filter((row) => {
        const text = texts
          .map((one) => String(one(row)))
          .join("\n")
          .toLowerCase();
        return words.every((word) => text.includes(word));
      })
    : [...rows];
  const by = columns.find((one) => one.key === order.key)?.sort;
  if (!by) return found;
  const sign = order.down ? -1 : 1;
  const keyed = found.map((row) => ({ row, key: by(row) }));
  keyed.sort((a, b) => sign * compare(a.key, b.key));
  return keyed.map((one) => one.row);
}

const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
const compare = (a: string | number, b: string | number): number =>
  typeof a === "number" && typeof b === "number" ? a - b : collator.compare(String(a), String(b));

function Columns<T>({
  columns,
  shown,
  onChange,
}: {
  columns: readonly Column<T>[];
  shown: string[];
  onChange: (keys: string[]) => void;
}) {
  const [open, setOpen] = useState(false);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={setOpen}
      popperProps={{ position: "right" }}
      toggle={(ref) => (
        <MenuToggle
          ref={ref}
          variant="plain"
          isExpanded={open}
          onClick={() => setOpen(!open)}
          aria-label="Columns"
          icon={<ColumnsIcon />}
        />
      )}
    >
      <Menu
        isPlain
        onSelect={(_event, key) =>
          onChange(shown.includes(String(key)) ? shown.filter((one) => one !== key) : [...shown, String(key)])
        }
      >
        <MenuContent>
          <MenuList aria-label="Columns">
            {columns
              .filter((one) => !one.names)
              .map((one) => (
                <MenuItem key={one.key} itemId={one.key} hasCheckbox isSelected={shown.includes(one.key)}>
                  {one.title}
                </MenuItem>
              ))}
          </MenuList>
        </MenuContent>
      </Menu>
    </Dropdown>
  );
}
