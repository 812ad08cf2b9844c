/** One virtual machine: its head, and a tab for each thing that one wants of it. */
import {
  Alert,
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  PageSection,
  Tab,
  Tabs,
  TabTitleText,
} from "@patternfly/react-core";
import { type FC, lazy, Suspense, useEffect, useState } from "react";
import { Link, Navigate, useNavigate, useParams } from "react-router";
import { useConnection, useMay, useObject, useObjects, type Vm } from "@/api/live";
import { ErrorBoundary } from "@/ui/ErrorBoundary";
import { Loading } from "@/ui/Loading";
import { PageHead } from "@/ui/PageHead";
import { Command } from "./Command";
import { Console } from "./console/Console";
import { Overview } from "./overview/Overview";
import { Serial } from "./serial/Serial";
import { VmHead } from "./VmHead";
import { VmHistory } from "./VmHistory";
import "./vm.css";

const Settings = lazy(() => import("./settings/Settings"));
const Metrics = lazy(() => import("./metrics/Metrics"));

interface Place {
  tab: string;
  title: string;
  /** What is needed besides velocity.vm.view. */
  needs?: string;
  show: FC<{ vm: Vm }>;
}

const TABS: readonly Place[] = [
  { tab: "overview", title: "Overview", show: Overview },
  { tab: "console", title: "Console", needs: "vm.interact", show: Console },
  { tab: "serial", title: "Serial", needs: "vm.interact", show: Serial },
  { tab: "settings", title: "Devices & settings", show: Settings },
  { tab: "metrics", title: "Metrics", show: Metrics },
  { tab: "history", title: "History", needs: "user.view", show: VmHistory },
  { tab: "command", title: "Command", show: Command },
];

const CONTENT = "vm-tab";
const TABBAR = "vm-tabs";

export default function VmPage() {
  const { vmid = "", tab } = useParams();
  const vm = useObject("vm", Number(vmid));
  const [before, setBefore] = useState<Vm>();
  const connection = useConnection();
  const known = useObjects("group").length > 0;
  useEffect(() => {
    if (vm) setBefore(vm);
  }, [vm]);
  if (vm) return <Shown vm={vm} tab={tab} />;
  if (!known && connection !== "live") return <Loading />;
  return <Gone name={before?.vmid === Number(vmid) ? before.name : undefined} vmid={vmid} />;
}

function Shown({ vm, tab = "overview" }: { vm: Vm; tab?: string }) {
  const may = useMay();
  const navigate = useNavigate();
  const place = TABS.find((one) => one.tab === tab);
  // biome-ignore lint/correctness/useExhaustiveDependencies: on a phone the tabs scroll, and another one is to be seen
  useEffect(() => {
    document.querySelector(`#${TABBAR} [aria-current="page"]`)?.scrollIntoView({ block: "nearest", inline: "center" });
  }, [tab]);
  if (!place) return <Navigate to={`/vms/${vm.vmid}`} replace />;
  const mayNot = (one: Place) => one.needs !== undefined && !may(one.needs, vm.gid);
  const path = (one: Place) => (one.tab === "overview" ? `/vms/${vm.vmid}` : `/vms/${vm.vmid}/${one.tab}`);
  return (
    <>
      <VmHead vm={vm} />
      <PageSection type="tabs" hasBodyWrapper={false}>
        <Tabs
          id={TABBAR}
          component="nav"
          aria-label={`Of ${vm.name}`}
          activeKey={tab}
          onSelect={(event, key) => {
            const to = TABS.find((one) => one.tab === key);
            if (!to || (event as React.MouseEvent).ctrlKey || (event as React.MouseEvent).metaKey) return;
            event.preventDefault();
            void navigate(path(to));
          }}
          usePageInsets
        >
          {TABS.filter((one) => !mayNot(one) || one === place).map((one) => (
            <Tab
              key={one.tab}
              tabContentId={CONTENT}
              eventKey={one.tab}
              aria-current={one === place ? "page" : undefined}
              href={path(one)}
              title={<TabTitleText>{one.title}</TabTitleText>}
            />
          ))}
        </Tabs>
      </PageSection>
      <PageSection hasBodyWrapper={false} aria-label={place.title}>
        <div className="v-vm-tab" id={CONTENT}>
          {mayNot(place) ? (
            <Alert component="p" isInline variant="info" title={`velocity.${place.needs} is needed on the VM's group`}>
              Someone who has it there and may assign permissions can give it to you.
            </Alert>
          ) : (
            <ErrorBoundary where={tab} key={tab}>
              <Suspense fallback={<Loading />}>
                <place.show vm={vm} />
              </Suspense>
            </ErrorBoundary>
          )}
        </div>
      </PageSection>
    </>
  );
}

function Gone({ name, vmid }: { name: string | undefined; vmid: string }) {
  return (
    <>
      <PageHead title={name ?? "No such VM"} />
      <PageSection>
        <EmptyState
          headingLevel="h2"
          titleText={name ? `${name} no longer exists` : `There is no VM ${vmid}, or you may not view it`}
        >
          <EmptyStateBody>
            {name
              ? "It was deleted, or you may no longer view it. Deleted VMs can be restored from the trash."
              : "It may have been deleted: deleted VMs can be restored from the trash."}
          </EmptyStateBody>
          <EmptyStateFooter>
            <EmptyStateActions>
              <Button component={(props) => <Link {...props} to="/vms" />}>All VMs</Button>
              <Button variant="link" component={(props) => <Link {...props} to="/trash" />}>
                Trash
              </Button>
            </EmptyStateActions>
          </EmptyStateFooter>
        </EmptyState>
      </PageSection>
    </>
  );
}
