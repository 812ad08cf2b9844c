/** Every VM that the person may view: as a table, or as a wall of screens. */
import "./vms.css";
import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateFooter,
  Skeleton,
  ToggleGroup,
  ToggleGroupItem,
} from "@patternfly/react-core";
import { useCallback, useDeferredValue, useEffect, useMemo, useRef, useState } from "react";
import { useMay, useObjects, useReady, type Vm } from "@/api/live";
import { Icon } from "@/look/Icon";
import { Filter } from "@/ui/Choose";
import { useGroupPath } from "@/ui/groups";
import { hostsOf } from "@/ui/hosts";
import { LinkButton } from "@/ui/LinkButton";
import { vmProblem } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { DataTable } from "@/ui/table/DataTable";
import { useAddress } from "@/ui/useAddress";
import { BulkBar } from "./BulkBar";
import { ConfirmAction, type PendingAction } from "./ConfirmAction";
import { columns, USAGE_COLUMNS } from "./columns";
import { type Filters, fits, readFilters, subtree, writeFilters } from "./filters";
import { GroupFilter } from "./GroupFilter";
import { NoMachines } from "./NoMachines";
import { RowActions } from "./RowActions";
import { ScreenSearch } from "./ScreenSearch";
import { StateFilter } from "./StateFilter";
import { isBusy } from "./usage";
import { useUsages } from "./useUsages";
import { Wall } from "./Wall";

const rowKey = (vm: Vm) => vm.vmid;
const SEARCH_DELAY_MS = 400;
const rowName = (vm: Vm) => vm.name;
const hasProblem = (vm: Vm) => vmProblem(vm) !== undefined;
const NO_COLUMNS: readonly string[] = [];

export default function Vms() {
  const all = useObjects("vm");
  const ready = useDeferredValue(useReady()); // the table is made in slices, so that nothing waits for it
  const groups = useObjects("group");
  const may = useMay();
  const path = useGroupPath();
  const [params, change] = useAddress();
  const [asked, setAsked] = useState<PendingAction & { done?: () => void }>();
  const filters = useMemo(() => readFilters(params), [params]);
  const wall = params.get("view") === "wall";
  const within = useMemo(
    () => (filters.gid === undefined ? undefined : subtree(groups, filters.gid)),
    [groups, filters.gid],
  );
  const [visible, setVisible] = useState(NO_COLUMNS);
  const usages = useUsages(
    filters.facets.includes("busy") || (!wall && USAGE_COLUMNS.some((one) => visible.includes(one))),
  );
  const rows = useMemo(() => {
    const there = filters.host === undefined ? all : all.filter((vm) => vm.host?.id === filters.host);
    if (filters.facets.length === 0 && !within) return there;
    const marks = { trouble: hasProblem, busy: (vm: Vm) => isBusy(vm, usages) };
    return there.filter((vm) => fits(vm, filters.facets, within, marks));
  }, [all, filters.facets, filters.host, within, usages]);
  const hosts = useMemo(() => hostsOf(all), [all]);
  const several = hosts.length > 0;
  const shown = useMemo(() => columns(path, usages, several), [path, usages, several]);
  const ask = useCallback((next: PendingAction) => setAsked(next), []);
  const rowActions = useCallback((vm: Vm) => <RowActions vm={vm} ask={ask} />, [ask]);
  const set = (name: string, value: string | undefined) =>
    change((now) => (value === undefined ? now.delete(name) : now.set(name, value)));
  const searchTimer = useRef<ReturnType<typeof setTimeout>>(undefined);
  useEffect(() => () => clearTimeout(searchTimer.current), []);
  /** The address follows when the typing pauses: a new one makes the whole frame anew. */
  const setFind = (words: string) => {
    clearTimeout(searchTimer.current);
    const { pathname } = location;
    searchTimer.current = setTimeout(() => {
      // who has gone on meanwhile is not called back: the next page may still be loading
      if (location.pathname === pathname) set("find", words || undefined);
    }, SEARCH_DELAY_MS);
  };
  const filter = (next: Filters) => change((now) => writeFilters(now, next));
  const mayCreate = groups.some((one) => may("vm.create", one.gid));
  const mayLook = groups.some((one) => may("vm.interact", one.gid));
  return (
    <>
      <PageHead
        title="Virtual machines"
        actions={
          <>
            {mayLook && all.length > 0 && (
              <Button variant="secondary" icon={<Icon name="text" />} onClick={() => set("screens", "")}>
                Search screens
              </Button>
            )}
            {mayCreate && all.length > 0 && (
              <LinkButton variant="primary" to="/create">
                Create<span className="v-long"> a virtual machine</span>
              </LinkButton>
            )}
          </>
        }
      />
      <Section>
        {!ready ? (
          <Skeleton height="20rem" screenreaderText="Loading the VMs" />
        ) : all.length === 0 ? (
          <NoMachines />
        ) : (
          <DataTable
            id="vms"
            label="Virtual machines"
            noun="VM"
            rows={rows}
            columns={shown}
            onShown={setVisible}
            rowKey={rowKey}
            rowName={rowName}
            search={params.get("find") ?? ""}
            onSearch={setFind}
            filters={
              <>
                <StateFilter facets={filters.facets} onChange={(facets) => filter({ ...filters, facets })} />
                <GroupFilter gid={filters.gid} onChange={(gid) => filter({ ...filters, gid })} />
                {(several || filters.host !== undefined) && (
                  <Filter
                    label="Host"
                    all="All hosts"
                    value={String(filters.host ?? "")}
                    choices={hosts.map((one) => ({ value: String(one.id), label: one.name }))}
                    onChange={(host) => filter({ ...filters, host: host ? Number(host) : undefined })}
                  />
                )}
                <div>
                  <ToggleGroup aria-label="Shown as" className="v-shown-as">
                    <ToggleGroupItem
                      icon={<Icon name="list" />}
                      text="List"
                      isSelected={!wall}
                      onChange={() => set("view", undefined)}
                    />
                    <ToggleGroupItem
                      icon={<Icon name="grid" />}
                      text="Screens"
                      isSelected={wall}
                      onChange={() => set("view", "wall")}
                    />
                  </ToggleGroup>
                </div>
              </>
            }
            empty={<NothingFits onClear={() => filter({ facets: [] })} />}
            bulk={(chosen, clear) => <BulkBar vms={chosen} ask={(next) => setAsked({ ...next, done: clear })} />}
            rowActions={rowActions}
            actionsWidth="var(--v-row-actions)"
            instead={wall ? (found, choice) => <Wall vms={found} ask={ask} {...choice} /> : undefined}
          />
        )}
      </Section>
      {asked && <ConfirmAction asked={asked} onDone={() => asked.done?.()} onClose={() => setAsked(undefined)} />}
      {params.has("screens") && <ScreenSearch onClose={() => set("screens", undefined)} />}
    </>
  );
}

function NothingFits({ onClear }: { onClear: () => void }) {
  return (
    <EmptyState titleText="No VM matches the filters" headingLevel="h2">
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button variant="link" onClick={onClear}>
            Show all
          </Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}
