/** What was done with a VM, by whom, and what was refused. */
import { Button, EmptyState, EmptyStateBody } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { ListHistory } from "@/api/limits";
import type { Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { Entry } from "@/api/schema";
import { Failed } from "@/ui/Failed";
import { moment } from "@/ui/format";
import { Loading } from "@/ui/Loading";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { When } from "@/ui/When";
import { partsOf, whoOf, whyRefused } from "../history/Happened";
import { useNames } from "../history/names";
import { From, Outcome, What } from "../history/Outcome";
import { plain } from "../history/parts";
import type { Names } from "../history/sentence";

const PAGE = 100;
const MOST = ListHistory.limit.maximum;

const columnsOf = (names: Names): Column<Entry>[] => [
  {
    key: "at",
    title: "When",
    width: "8rem",
    cell: (entry) => <When at={entry.at} />,
    sort: (entry) => entry.hid,
    text: (entry) => moment(entry.at),
  },
  {
    key: "name",
    title: "Who",
    width: "8rem",
    cell: (entry) => whoOf(entry, names) ?? "Someone",
    sort: (entry) => entry.name,
  },
  {
    key: "operation",
    title: "What",
    names: true,
    cell: (entry) => <What entry={entry} names={names} />,
    text: (entry) => plain(partsOf(entry, names)),
    sort: (entry) => plain(partsOf(entry, names)),
  },
  {
    key: "outcome",
    title: "Outcome",
    width: "7rem",
    nowrap: true,
    cell: (entry) => <Outcome entry={entry} />,
    sort: (entry) => entry.code ?? 0,
    text: (entry) => (entry.code === undefined ? "done" : `refused ${whyRefused(entry, names)}`),
  },
  {
    key: "address",
    title: "From",
    width: "8rem",
    cell: (entry) => <From entry={entry} />,
    sort: (entry) => entry.address,
  },
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
  const names = useNames();
  const columns = useMemo(() => columnsOf(names), [names]);
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
        noun="entry"
        nouns="entries"
        rows={entries}
        columns={columns}
        rowKey={(entry) => entry.hid}
        rowName={(entry) => `${entry.name} ${plain(partsOf(entry, names))}`}
        sortBy={{ key: "at", down: true }}
        empty={
          <EmptyState titleText="Nothing yet" headingLevel="h2" variant="sm">
            <EmptyStateBody>Changes of this VM and its disks, and refused requests, are listed here.</EmptyStateBody>
          </EmptyState>
        }
      />
      {entries.length >= limit && limit < MOST && (
        <Button variant="link" isLoading={history.isPending} onClick={() => setLimit(Math.min(MOST, limit * 3))}>
          Show older entries
        </Button>
      )}
    </>
  );
}
