/** The hosts that the server controls: how they are, and what they are wanted for. */

import { Button, EmptyState, Skeleton } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useMay } from "@/api/live";
import type { NodeInfo } from "@/api/schema";
import { Failed } from "@/ui/Failed";
import { mib, percent } from "@/ui/format";
import { NONE, Status } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { AddHost } from "./AddHost";
import { CopyState } from "./CopyState";
import { HostActions } from "./HostActions";
import { HostDialog } from "./HostDialogs";
import { isTroubled, Trouble, useDrain } from "./Trouble";
import { type CpuUse, useCpuUse, useHosts } from "./useHosts";
import { type HostWish, hostStatus, labelText } from "./words";

type Wish = { host: NodeInfo; change: HostWish };

const columnsOf = (useOf: CpuUse): Column<NodeInfo>[] => [
  {
    key: "name",
    title: "Name",
    names: true,
    cell: (one) => <Link to={`/hosts/${one.host}`}>{one.name}</Link>,
    sort: (one) => one.name,
  },
  {
    key: "state",
    title: "State",
    phone: "first",
    cell: (one) => <Status tone={hostStatus(one).tone}>{hostStatus(one).word}</Status>,
    sort: (one) => hostStatus(one).word,
  },
  {
    key: "message",
    title: "Message",
    width: "36%",
    cell: (one) => <Message host={one} />,
    sort: (one) => one.message ?? "",
    text: (one) => one.message ?? "",
  },
  {
    key: "vms",
    title: "VMs",
    number: true,
    unit: (one) => (one.vms === 1 ? "VM" : "VMs"),
    cell: (one) => (one.vms === 0 ? 0 : <Link to={`/vms?host=${one.host}`}>{one.vms}</Link>),
    sort: (one) => one.vms,
  },
  {
    key: "cpu",
    title: "CPU use",
    nowrap: true,
    number: true,
    unit: (one) => (useOf(one) === undefined ? undefined : "CPU"),
    cell: (one) => {
      const use = useOf(one);
      return use === undefined ? NONE : percent(use);
    },
    sort: (one) => useOf(one) ?? -1,
    text: () => "",
  },
  {
    key: "memory",
    title: "Memory given",
    nowrap: true,
    number: true,
    unit: "given",
    cell: (one) => `${mib(one.memory_given_mib)}${one.memory_mib === undefined ? "" : ` of ${mib(one.memory_mib)}`}`,
    sort: (one) => one.memory_given_mib / Math.max(1, one.memory_mib ?? 1),
  },
  {
    key: "pools",
    title: "Pools",
    optional: true,
    cell: (one) => one.pools.map((pool) => pool.name).join(", ") || NONE,
    sort: (one) => one.pools.length,
    text: (one) => one.pools.map((pool) => pool.name).join(" "),
  },
  {
    key: "address",
    title: "Address",
    nowrap: true,
    phone: "none",
    cell: (one) => one.address ?? (one.own ? "this server" : NONE),
    sort: (one) => one.address ?? "",
  },
  {
    key: "version",
    title: "Velocity",
    phone: "none",
    optional: true, // the message says if it is another one
    cell: (one) => one.version ?? NONE,
    sort: (one) => one.version ?? "",
  },
  {
    key: "labels",
    title: "Labels",
    optional: true,
    cell: (one) => labelText(one.labels) || NONE,
    sort: (one) => labelText(one.labels),
    text: (one) => labelText(one.labels),
  },
];

export default function Hosts() {
  const asked = useHosts();
  const may = useMay();
  const [address, setAddress] = useSearchParams();
  const [wanted, setAdds] = useState(false);
  const [wish, setWish] = useState<Wish>();
  const hosts = useMemo(() => asked.data?.nodes ?? [], [asked.data]);
  const use = useCpuUse();
  const columns = useMemo(() => columnsOf(use), [use]);
  const manages = may("node.manage", 0);
  const close = () => setWish(undefined);
  const adds = manages && asked.data !== undefined && (wanted || address.has("add"));
  const closeAdd = () => {
    setAdds(false);
    if (address.has("add")) setAddress({}, { replace: true });
  };
  return (
    <>
      <PageHead
        title="Hosts"
        about="The machines that VMs run on: the server's own, and those that have joined it."
        actions={manages && <Button onClick={() => setAdds(true)}>Add a host</Button>}
      />
      <Section>
        {asked.error && !asked.data ? (
          <Failed error={asked.error} what="The hosts" again={() => void asked.refetch()} />
        ) : asked.isPending ? (
          <Skeleton height="10rem" screenreaderText="Loading the hosts" />
        ) : (
          <DataTable
            id="hosts"
            label="Hosts"
            noun="host"
            rows={hosts}
            columns={columns}
            rowKey={(one) => one.host}
            rowName={(one) => one.name}
            rowActions={
              manages
                ? (one) => (
                    <HostActions
                      host={one}
                      database={asked.data?.database ?? "sqlite"}
                      onWish={(change) => setWish({ host: one, change })}
                    />
                  )
                : undefined
            }
            empty={<EmptyState titleText="No hosts" headingLevel="h2" />}
          />
        )}
      </Section>
      {adds && <AddHost hosts={hosts} onClose={closeAdd} />}
      {wish && <HostDialog host={wish.host} hosts={hosts} wish={wish.change} onClose={close} />}
    </>
  );
}

function Message({ host }: { host: NodeInfo }) {
  const drain = useDrain(host);
  if (!isTroubled(host, drain) && !host.keeps_copy) return null;
  return (
    <span className="v-words">
      <Trouble host={host} drain={drain} />
      {host.keeps_copy && (
        <>
          <br />
          <small className="v-subtle">
            <CopyState host={host} />
          </small>
        </>
      )}
    </span>
  );
}
