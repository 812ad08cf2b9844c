/** What a VM is, at a glance: its screens, its facts, and how well it is shut in. */
import { Alert } from "@patternfly/react-core";
import { useMay, useObjects, type Vm } from "@/api/live";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { useVmInfo } from "../useVmInfo";
import { Devices } from "./Devices";
import { Facts } from "./Facts";
import { IsolationCard } from "./IsolationCard";
import { Screens } from "./Screens";

export function Overview({ vm }: { vm: Vm }) {
  const info = useVmInfo(vm);
  const may = useMay();
  const attached = new Set(vm.media);
  const warned = useObjects("medium").filter((one) => attached.has(one.mid) && one.content?.warning);
  const screens = may("vm.interact", vm.gid) && vm.displays.length > 0 && vm.state !== "STOPPED";
  return (
    <div className="v-overview">
      {warned.map((one) => (
        <Alert key={one.mid} component="p" isInline variant="warning" title={one.name} className="v-overview-all">
          {one.content?.warning}
        </Alert>
      ))}
      {screens && (
        <div className="v-overview-screen">
          <Screens vm={vm} />
        </div>
      )}
      {info.isError && <Failed error={info.error} what="The VM" again={() => void info.refetch()} />}
      {info.isPending && <Loading />}
      {info.data && (
        <>
          <Facts vm={vm} info={info.data} />
          <Devices info={info.data} />
          {info.data.isolation && (
            <div className="v-overview-all">
              <IsolationCard isolation={info.data.isolation} />
            </div>
          )}
        </>
      )}
    </div>
  );
}
