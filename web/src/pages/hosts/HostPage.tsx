/** One host: what is wrong with it, how busy it is, what it has, and what can be done with it. */

import {
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  DescriptionList,
  EmptyState,
  EmptyStateActions,
  EmptyStateFooter,
} from "@patternfly/react-core";
import { useState } from "react";
import { Link, useParams } from "react-router";
import { useMay, useObjects } from "@/api/live";
import { MEASURED_MS, useAnswer } from "@/api/queries";
import type { NodeInfo } from "@/api/schema";
import { Fact } from "@/ui/Fact";
import { Failed } from "@/ui/Failed";
import { mib, moment } from "@/ui/format";
import { LinkButton } from "@/ui/LinkButton";
import { Loading } from "@/ui/Loading";
import { StateLabel, Status } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { Host } from "../dashboard/Host";
import { PoolBars } from "../dashboard/Pools";
import { ofDisk } from "../dashboard/poolUsage";
import { CopyState } from "./CopyState";
import { type Database, HostActions } from "./HostActions";
import { HostDialog } from "./HostDialogs";
import { isTroubled, Trouble, useDrain } from "./Trouble";
import { useHosts } from "./useHosts";
import { type HostWish, hostStatus, labelText } from "./words";

const TRAIL = [{ to: "/hosts", title: "Hosts" }];
/** VMs that are listed; the list of VMs has all of them. */
const MOST = 12;

export default function HostPage() {
  const { host: id = "" } = useParams();
  const { data, error, isPending, refetch } = useHosts();
  const host = data?.nodes.find((one) => String(one.host) === id);
  if (data && host) return <Shown host={host} hosts={data.nodes} database={data.database ?? "sqlite"} />;
  if (isPending) return <Loading />;
  return (
    <>
      <PageHead title={data ? "No such host" : "Host"} trail={TRAIL} />
      <Section>{data ? <Gone /> : <Failed error={error} what="The host" again={() => void refetch()} />}</Section>
    </>
  );
}

function Gone() {
  return (
    <EmptyState headingLevel="h2" titleText="There is no such host, or it was removed">
      <EmptyStateFooter>
        <EmptyStateActions>
          <LinkButton to="/hosts">All hosts</LinkButton>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}

function Shown({ host, hosts, database }: { host: NodeInfo; hosts: readonly NodeInfo[]; database: Database }) {
  const [wish, setWish] = useState<HostWish>();
  const manages = useMay()("node.manage", 0);
  const online = host.state === "online";
  const enabled = online || host.state === "joining"; // which may have answered since
  const asked = useAnswer("post", "/h/host", { host: host.host }, { enabled, every: MEASURED_MS });
  const measured = enabled && !asked.isError ? asked.data : undefined;
  const drain = useDrain(host);
  const { tone, word } = hostStatus(host);
  return (
    <>
      <PageHead
        title={host.name}
        trail={TRAIL}
        status={<Status tone={tone}>{word}</Status>}
        about={host.own && "The server runs on it."}
        actions={manages && <HostActions host={host} database={database} onWish={setWish} />}
      >
        {isTroubled(host, drain) && (
          <div className={`v-note v-note-${tone === "bad" ? "bad" : drain ? "busy" : "warn"}`}>
            <div className="v-words">
              <Trouble host={host} drain={drain} />
            </div>
          </div>
        )}
      </PageHead>
      <Section aria-label={host.name}>
        <div className="v-cards v-cards-top">
          <div className="v-column">
            <Facts host={host} />
            <Machines host={host} />
          </div>
          {(online || measured) && (
            <div className="v-column">
              <Host asked={asked} title="Load" />
              {measured && <PoolBars rooms={measured.pools.map(ofDisk)} none="It has no pools." />}
            </div>
          )}
        </div>
      </Section>
      {wish && <HostDialog host={host} hosts={hosts} wish={wish} onClose={() => setWish(undefined)} />}
    </>
  );
}

function Facts({ host }: { host: NodeInfo }) {
  const { cpus, memory_mib: memory } = host;
  return (
    <Card component="section" aria-label="Host">
      <CardHeader>
        <CardTitle component="h2">Host</CardTitle>
      </CardHeader>
      <CardBody>
        <DescriptionList isHorizontal isCompact>
          {host.address !== undefined && <Fact name="Address">{host.address}</Fact>}
          <Fact name="CPUs given to VMs">
            {host.cpus_given}
            {cpus !== undefined && ` of ${cpus}`}
          </Fact>
          <Fact name="Memory given to VMs">
            {mib(host.memory_given_mib)}
            {memory !== undefined && ` of ${mib(memory)}`}
          </Fact>
          <Fact name="NICs">{host.nics.map((one) => one.identifier).join(", ") || "None"}</Fact>
          <Fact name="Labels">{labelText(host.labels, ", ") || "None"}</Fact>
          {host.keeps_copy && (
            <Fact name="Keeps a copy">
              <CopyState host={host} />
            </Fact>
          )}
          {!host.own && <Fact name="Fence agent">{host.fence?.agent ?? "None"}</Fact>}
          {host.joined !== undefined && <Fact name="Joined">{moment(host.joined)}</Fact>}
          {host.certificate_expires !== undefined && (
            <Fact name="Certificate until">{moment(host.certificate_expires)}</Fact>
          )}
        </DescriptionList>
      </CardBody>
    </Card>
  );
}

function Machines({ host }: { host: NodeInfo }) {
  // where no other host has answered yet, VMs name none: they are the own host's
  const all = useObjects("vm")
    .filter((vm) => (vm.host === undefined ? host.own : vm.host.id === host.host))
    .sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  return (
    <Card component="section" aria-label="Virtual machines">
      <CardHeader
        actions={
          all.length > MOST
            ? {
                hasNoOffset: true,
                actions: <Link to={`/vms?host=${host.host}`}>All {all.length.toLocaleString()}</Link>,
              }
            : undefined
        }
      >
        <CardTitle component="h2">Virtual machines</CardTitle>
      </CardHeader>
      <CardBody>
        {all.length === 0 ? (
          <span className="v-subtle">No VM</span>
        ) : (
          <DescriptionList isHorizontal isCompact>
            {all.slice(0, MOST).map((vm) => (
              <Fact key={vm.vmid} name={<Link to={`/vms/${vm.vmid}`}>{vm.name}</Link>}>
                <StateLabel vm={vm} />
              </Fact>
            ))}
          </DescriptionList>
        )}
      </CardBody>
    </Card>
  );
}
