/** The hosts that the server controls: how they are, and what they are wanted for. */

import { Button, EmptyState, Skeleton } from "@patternfly/react-core";
import { useEffect, useMemo, useState } from "react";
import { Link, useSearchParams } from "react-router";
import { useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { NodeInfo } from "@/api/schema";
import { Failed } from "@/ui/Failed";
import { mib } from "@/ui/format";
import { Status } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { Sentence } from "@/ui/Sentence";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { NAMES } from "@/ui/texts/names";
import { hostWords } from "@/ui/texts/words";
import { When } from "@/ui/When";
import { AddHost } from "./AddHost";
import { ChangeDuty } from "./ChangeDuty";
import { CopyState } from "./CopyState";
import { Draining } from "./Draining";
import { EditHost } from "./EditHost";
import { HostActions } from "./HostActions";
import { KeepCopy } from "./KeepCopy";
import { Loss } from "./Loss";
import { ProveDead } from "./ProveDead";
import { RemoveHost } from "./RemoveHost";
import { SetFence } from "./SetFence";
import { type HostWish, hostStatus, labelText, lastDrain } from "./words";

type Wish = { host: NodeInfo; change: HostWish };

const COLUMNS: Column<NodeInfo>[] = [
  { key: "name", title: "Name", names: true, cell: (one) => one.name, sort: (one) => one.name },
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
    key: "memory",
    title: "Memory",
    nowrap: true,
    number: true,
    unit: (one) => (one.memory_mib === undefined ? undefined : "memory"),
    cell: (one) => (one.memory_mib === undefined ? "–" : mib(one.memory_mib)),
    sort: (one) => one.memory_mib ?? 0,
  },
  {
    key: "pools",
    title: "Pools",
    cell: (one) => one.pools.map((pool) => pool.name).join(", ") || "–",
    sort: (one) => one.pools.length,
    text: (one) => one.pools.map((pool) => pool.name).join(" "),
  },
  {
    key: "address",
    title: "Address",
    nowrap: true,
    phone: "none",
    cell: (one) => one.address ?? (one.own ? "this server" : "–"),
    sort: (one) => one.address ?? "",
  },
  {
    key: "version",
    title: "Velocity",
    phone: "none",
    optional: true, // the message says if it is another one
    cell: (one) => one.version ?? "–",
    sort: (one) => one.version ?? "",
  },
  {
    key: "labels",
    title: "Labels",
    optional: true,
    cell: (one) => labelText(one.labels) || "–",
    sort: (one) => labelText(one.labels),
    text: (one) => labelText(one.labels),
  },
];

/** How many VMs each host has, as a word. */
function useShares(): string {
  const vms = useObjects("vm");
  return useMemo(() => {
    const shares = new Map<number, number>();
    for (const { host } of vms) if (host) shares.set(host.id, (shares.get(host.id) ?? 0) + 1);
    return JSON.stringify([...shares].sort());
  }, [vms]);
}

export default function Hosts() {
  const asked = useAnswer("post", "/h/node/list", {}, { topics: ["host"] });
  const { refetch } = asked;
  const shares = useShares();
  useEffect(() => {
    if (shares) void refetch(); // no host has changed when a VM has come or gone
  }, [shares, refetch]);
  const may = useMay();
  const [address, setAddress] = useSearchParams();
  const [wanted, setAdds] = useState(false);
  const [wish, setWish] = useState<Wish>();
  const hosts = useMemo(() => asked.data?.nodes ?? [], [asked.data]);
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
            columns={COLUMNS}
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
      {wish?.change === "edit" && <EditHost host={wish.host} onClose={close} />}
      {wish?.change === "copy" && <KeepCopy host={wish.host} onClose={close} />}
      {wish?.change === "again" && <AddHost hosts={hosts} again={wish.host} onClose={close} />}
      {wish?.change === "remove" && <RemoveHost host={wish.host} onClose={close} />}
      {(wish?.change === "confirm" || wish?.change === "fence" || wish?.change === "blocklist") && (
        <ProveDead host={wish.host} how={wish.change} onClose={close} />
      )}
      {wish?.change === "fencing" && <SetFence host={wish.host} onClose={close} />}
      {typeof wish?.change === "object" && (
        <ChangeDuty host={wish.host} alone={hosts.length < 2} change={wish.change} onClose={close} />
      )}
    </>
  );
}

function Message({ host }: { host: NodeInfo }) {
  const drain = lastDrain(host, useObjects("task"));
  if (!(drain ?? host.message ?? host.since ?? host.dead ?? host.missing ?? host.keeps_copy)) return null;
  return (
    <span className="v-words">
      {drain && <Draining task={drain} />}
      {host.message !== undefined && <Sentence>{hostWords(host.message, NAMES)}</Sentence>}
      {host.since !== undefined && (
        <>
          {" "}
          It stopped responding <When at={host.since} />.
        </>
      )}
      <Loss host={host} />
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
