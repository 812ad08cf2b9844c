/** What needs attention first, then how things are. */
import { Button, Skeleton } from "@patternfly/react-core";
import { useEffect, useMemo } from "react";
import { useNavigate } from "react-router";
import { useMay, useObjects, useReady } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { FirstSteps } from "@/ui/FirstSteps";
import { useGroupsWhere } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { useHostPath } from "@/ui/useHostPath";
import { Attention, useAway } from "./Attention";
import { matters, NO_KVM } from "./attention";
import { FewRights } from "./FewRights";
import { Host } from "./Host";
import { Hosts } from "./Hosts";
import { Machines } from "./Machines";
import { PoolBars } from "./Pools";
import { Quotas } from "./Quotas";
import { RecentHistory, RunningTasks } from "./Recent";
import { usePoolUsage } from "./usePoolUsage";

export default function Dashboard() {
  const ready = useReady();
  const navigate = useNavigate();
  const mayCreate = useGroupsWhere("vm.create").length > 0;
  const some = useObjects("vm").length > 0;
  return (
    <>
      <PageHead
        title="Dashboard"
        actions={
          mayCreate &&
          some && (
            <Button onClick={() => navigate("/create")}>
              Create<span className="v-long"> a virtual machine</span>
            </Button>
          )
        }
      />
      <Section>
        {ready ? <Present mayCreate={mayCreate} /> : <Skeleton height="16rem" screenreaderText="Loading" />}
      </Section>
    </>
  );
}

function Present({ mayCreate }: { mayCreate: boolean }) {
  const vms = useObjects("vm");
  const tasks = useObjects("task");
  const may = useMay();
  const seesHost = useGroupsWhere("host.view").length > 0;
  const seesPools = useGroupsWhere("pool.list").length > 0;
  const seesQuotas = useGroupsWhere("group.view").length > 0 && !seesHost;
  const mayUpload = useGroupsWhere("media.create").length > 0;
  const histories = useGroupsWhere("user.view");
  const host = useAnswer("post", "/h/host", {}, { topics: ["pool"], enabled: seesHost });
  useMeasured(seesHost ? host.refetch : undefined);
  const { rooms, error, more } = usePoolUsage(host.data, seesHost && host.isPending);
  const hostPath = useHostPath();
  const all = useMemo(() => matters(vms, tasks, rooms, host.data, hostPath), [vms, tasks, rooms, host.data, hostPath]);
  const attention = useAway(all);
  const running = useMemo(() => tasks.filter((task) => task.state === "RUNNING"), [tasks]);
  const first = vms.length === 0 && (mayCreate || mayUpload);
  const nothing = vms.length === 0 && !mayCreate && !mayUpload;
  const history = may("user.view", 0) ? 0 : histories[0]?.gid;
  return (
    <>
      {first && <FirstSteps />}
      {nothing && <FewRights />}
      {(vms.length > 0 || all.length > 0) && <Attention {...attention} />}
      <div className="v-cards">
        {(vms.length > 0 || seesPools || seesQuotas || running.length > 0) && (
          <div className="v-column">
            {vms.length > 0 && <Machines vms={vms} />}
            <RunningTasks tasks={running} />
            {!seesHost && <Quotas />}
            {seesPools && <PoolBars rooms={rooms} error={error} more={more} />}
          </div>
        )}
        {(seesHost || history !== undefined) && (
          <div className="v-column">
            {host.data?.hosts && <Hosts hosts={host.data.hosts} />}
            {seesHost && <Host asked={host} told={attention.left.some((one) => one.key === NO_KVM)} />}
            {history !== undefined && <RecentHistory gid={history} />}
          </div>
        )}
      </div>
    </>
  );
}

/** Milliseconds that VMs may go on changing before the host is measured again. */
const MEASURE_DELAY_MS = 2000;

/** The host's load is in no stream: it is measured again when VMs have changed their states, and when one looks again. */
function useMeasured(measure: (() => unknown) | undefined) {
  const states = useObjects("vm")
    .map((vm) => `${vm.vmid}${vm.state}`)
    .join();
  useEffect(() => {
    if (!measure || !states) return;
    const timer = setTimeout(measure, MEASURE_DELAY_MS);
    return () => clearTimeout(timer);
  }, [measure, states]);
  useEffect(() => {
    if (!measure) return;
    const look = () => {
      if (document.visibilityState === "visible") measure();
    };
    document.addEventListener("visibilitychange", look);
    return () => document.removeEventListener("visibilitychange", look);
  }, [measure]);
}
