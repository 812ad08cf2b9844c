/** One virtual machine: its head, and a tab for each thing that one wants of it. */

import { Alert, EmptyState, EmptyStateActions, EmptyStateBody, EmptyStateFooter } from "@patternfly/react-core";
import { type FC, Suspense, useEffect, useState } from "react";
import { Navigate, useParams } from "react-router";
import { useMay, useObject, useObjects, useReady, type Vm } from "@/api/live";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { LinkButton } from "@/ui/LinkButton";
import { Loading } from "@/ui/Loading";
import { PageHead } from "@/ui/PageHead";
import { part } from "@/ui/part";
import { called } from "@/ui/permissions";
import { Section } from "@/ui/Section";
import { Sentence } from "@/ui/Sentence";
import { Command } from "./Command";
import { ConsoleShell } from "./console/ConsoleShell";
import { Screen } from "./console/Screen";
import { Overview } from "./overview/Overview";
import { Serial } from "./serial/Serial";
import { VmHead } from "./VmHead";
import { VmHistory } from "./VmHistory";
import { VmTabs } from "./VmTabs";
import "./vm.css";

const Settings = part(() => import("./settings/Settings"));
const Metrics = part(() => import("./metrics/Metrics"));

interface Place {
  tab: string;
  title: string;
  /** What is needed besides velocity.vm.view. */
  needs?: string;
  show: FC<{ vm: Vm }>;
  /** It has the whole window: of the others only some stand beside it. */
  fills?: boolean;
}

const TABS: readonly Place[] = [
  { tab: "overview", title: "Overview", show: Overview },
  { tab: "console", title: "Console", needs: "vm.interact", show: Screen, fills: true },
  { tab: "serial", title: "Serial", needs: "vm.interact", show: Serial, fills: true },
  { tab: "settings", title: "Devices & settings", show: Settings },
  { tab: "metrics", title: "Metrics", show: Metrics },
  { tab: "history", title: "History", needs: "user.view", show: VmHistory },
  { tab: "command", title: "Command", show: Command },
];

export default function VmPage() {
  return <OfVm>{(vm, tab) => <Shown vm={vm} tab={tab} />}</OfVm>;
}

/** The VM of the address, as long as it is there. */
export function OfVm({ children }: { children: (vm: Vm, tab: string) => React.ReactNode }) {
  const { vmid = "", tab = "overview" } = useParams();
  const vm = useObject("vm", Number(vmid));
  const [before, setBefore] = useState<Vm>();
  const ready = useReady();
  const known = useObjects("group").length > 0;
  useEffect(() => {
    if (vm) setBefore(vm);
  }, [vm]);
  if (vm && known) return children(vm, tab); // what one may do with it comes with the groups
  if (vm || !ready) return <Loading />;
  return <Gone name={before?.vmid === Number(vmid) ? before.name : undefined} vmid={vmid} />;
}

function Shown({ vm, tab }: { vm: Vm; tab: string }) {
  const may = useMay();
  const place = TABS.find((one) => one.tab === tab);
  if (!place) return <Navigate to={`/vms/${vm.vmid}`} replace />;
  const mayNot = (one: Place) => one.needs !== undefined && !may(one.needs, vm.gid);
  const tabs = TABS.filter((one) => !mayNot(one) || one === place);
  const content = (
    <ErrorBoundary where={tab} key={tab}>
      <Suspense fallback={<Loading />}>
        <place.show vm={vm} />
      </Suspense>
    </ErrorBoundary>
  );
  if (place.fills && !mayNot(place))
    return (
      <ConsoleShell
        vm={vm}
        tab={tab}
        tabs={<VmTabs vm={vm} tabs={tabs.filter((one) => one.fills || one.tab === "overview")} here={tab} />}
      >
        {content}
      </ConsoleShell>
    );
  return (
    <>
      <VmHead vm={vm}>
        <VmTabs vm={vm} tabs={tabs} here={tab} />
      </VmHead>
      <Section aria-label={place.title}>
        {mayNot(place) ? (
          <Alert
            component="p"
            isInline
            variant="info"
            title={`${place.title} needs the permission ${called(place.needs ?? "")} on the VM's group`}
          >
            Someone who has it there and may assign permissions can give it to you.
          </Alert>
        ) : (
          content
        )}
      </Section>
    </>
  );
}

function Gone({ name, vmid }: { name: string | undefined; vmid: string }) {
  return (
    <>
      <PageHead title={name ?? "No such VM"} trail={[{ to: "/vms", title: "Virtual machines" }]} />
      <Section>
        <EmptyState
          headingLevel="h2"
          titleText={
            <Sentence>{name ? `${name} no longer exists` : `There is no VM ${vmid}, or you may not view it`}</Sentence>
          }
        >
          <EmptyStateBody>
            {name
              ? "It was deleted, or you may no longer view it. Deleted VMs can be restored from the trash."
              : "It may have been deleted: deleted VMs can be restored from the trash."}
          </EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <LinkButton to="/vms">All VMs</LinkButton>
              <LinkButton variant="link" to="/trash">
                Trash
              </LinkButton>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      </Section>
    </>
  );
}
