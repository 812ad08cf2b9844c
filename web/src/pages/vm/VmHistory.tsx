/** What was done with a VM, by whom, and what was refused. */
import { Button, EmptyState, EmptyStateBody, Label } from "@patternfly/react-core";
import { useState } from "react";
import { ListHistory } from "@/api/limits";
import type { Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { Entry } from "@/api/schema";
import { Failed } from "@/ui/Failed";
import { ago, moment } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { Status } from "@/ui/labels";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { operationWords } from "./operations";

const PAGE = 100;
const MOST = ListHistory.limit.maximum;

const COLUMNS: Column<Entry>[] = [
  {
    key: "at",
    title: "When",
    cell: (entry) => <span title={moment(entry.at)}>{ago(entry.at)}</span>,
    sort: (entry) => entry.hid,
    text: (entry) => moment(entry.at),
  },
  { key: "name", title: "Who", cell: (entry) => entry.name, sort: (entry) => entry.name },
  {
    key: "operation",
    title: "What",
    names: true,
    cell: (entry) => operationWords(entry),
    sort: (entry) => operationWords(entry),
  },
  {
    key: "outcome",
    title: "Outcome",
    cell: (entry) =>
      entry.code === undefined ? (
        <Status tone="ok">Done</Status>
      ) : (
        <>
          <Label isCompact color="red">
            Refused
          </Label>{" "}
          {entry.message ?? `Code ${entry.code}`}
        </>
      ),
    sort: (entry) => entry.code ?? 0,
    text: (entry) => (entry.code === undefined ? "done" : `refused ${entry.message ?? ""}`),
  },
  { key: "address", title: "From", cell: (entry) => entry.address, sort: (entry) => entry.address },
  {
    key: "request",
    title: "Request",
    cell: (entry) => <code>{entry.request}</code>,
    text: (entry) => entry.request,
    optional: true,
  },
];

export function VmHistory({ vm }: { vm: Vm }) {
  const [limit, setLimit] = useState(PAGE);
  const body = { gid: vm.gid, vmid: vm.vmid, limit };
  const history = useAnswer("post", "/t/history", body, { topics: ["history"] });
  const [last, setLast] = useState<Entry[]>();
  if (history.data && history.data.entries !== last) setLast(history.data.entries);
  const entries = history.data?.entries ?? last;
  if (history.isError && !entries)
    return <Failed error={history.error} what="The history" again={() => void history.refetch()} />;
  if (!entries) return <Loading />;
  return (
    <>
      <DataTable
        id="vm-history"
        label={`History of ${vm.name}`}
        noun="event"
        rows={entries}
        columns={COLUMNS}
        rowKey={(entry) => entry.hid}
        rowName={(entry) => `${operationWords(entry)} by ${entry.name}`}
        sortBy={{ key: "at", down: true }}
        empty={
          <EmptyState titleText="Nothing yet" headingLevel="h2" variant="sm">
            <EmptyStateBody>Changes of this VM and refused requests are listed here.</EmptyStateBody>
          </EmptyState>
        }
      />
      {entries.length >= limit && limit < MOST && (
        <Button variant="link" isLoading={history.isFetching} onClick={() => setLimit(Math.min(MOST, limit * 3))}>
          Show older entries
        </Button>
      )}
    </>
  );
}
