/** What a VM is and does, at a glance: its screens, how it is, what it takes, how it is reached, what is attached. */
import "./overview.css";
import { Alert } from "@patternfly/react-core";
import { useMay, useObjects, type Vm } from "@/api/live";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { Sentence } from "@/ui/Sentence";
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
  const since = metrics.data?.running_since ?? info.data?.running_since;
  const screens = may("vm.interact", vm.gid) && vm.displays.length > 0 && lives;
  return (
    <div className="v-overview">
      {warned.map((one) => (
        <Alert
          key={one.mid}
          component="p"
          isInline
          variant="warning"
          title={<Sentence>{warningOf(one.content) ?? ""}</Sentence>}
          className="v-overview-all"
        />
      ))}
      {info.isError && <Failed error={info.error} what="The VM" again={() => void info.refetch()} />}
      {info.isPending && <Loading />}
      <div className="v-column">
        {screens && <Screens vm={vm} />}
        {info.data && !screens && <Facts vm={vm} info={info.data} since={since} />}
        {info.data && <Devices info={info.data} />}
        {info.data && <Details vm={vm} info={info.data} />}
      </div>
      {info.data && (
        <div className="v-column">
          {screens && <Facts vm={vm} info={info.data} since={since} />}
          {lives && <UsageCard vm={vm} metrics={metrics.data} since={since} />}
          <Network info={info.data} />
          {lives && <GuestCard vm={vm} />}
        </div>
      )}
    </div>
  );
}
