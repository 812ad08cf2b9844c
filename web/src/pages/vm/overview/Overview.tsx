/** What a VM is and does, at a glance: its screens, how it is, what it takes, how it is reached, what is attached. */
import "./overview.css";
import { Alert } from "@patternfly/react-core";
import { useMay, useObjects, type Vm } from "@/api/live";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { warningOf } from "../../media/warning";
import { useVmMetrics } from "../metrics/useVmMetrics";
import { useVmInfo } from "../useVmInfo";
import { Details } from "./Details";
import { Devices } from "./Devices";
import { Facts } from "./Facts";
import { GuestCard } from "./GuestCard";
import { Network } from "./Network";
import { Screens } from "./Screens";
import { UsageCard } from "./UsageCard";

export function Overview({ vm }: { vm: Vm }) {
  const info = useVmInfo(vm);
  const lives = vm.state !== "STOPPED";
  const metrics = useVmMetrics(vm.vmid, "hour", lives);
  const may = useMay();
  const attached = new Set(vm.media);
  const warned = useObjects("medium").filter((one) => attached.has(one.mid) && one.content?.warning);
  const screens = may("vm.interact", vm.gid) && vm.displays.length > 0 && lives;
  return (
    <div className="v-overview">
      {warned.map((one) => (
        <Alert key={one.mid} component="p" isInline variant="warning" title={one.name} className="v-overview-all">
          {warningOf(one.content)}
        </Alert>
      ))}
      {info.isError && <Failed error={info.error} what="The VM" again={() => void info.refetch()} />}
      {info.isPending && <Loading />}
      <div className="v-column">
        {screens && <Screens vm={vm} />}
        {info.data && !screens && <Facts vm={vm} info={info.data} since={metrics.data?.running_since} />}
        {info.data && <Devices info={info.data} />}
        {info.data && <Details vm={vm} info={info.data} />}
      </div>
      {info.data && (
        <div className="v-column">
          {screens && <Facts vm={vm} info={info.data} since={metrics.data?.running_since} />}
          {lives && <UsageCard vm={vm} metrics={metrics.data} />}
          <Network info={info.data} />
          {lives && <GuestCard vm={vm} />}
        </div>
      )}
    </div>
  );
}
