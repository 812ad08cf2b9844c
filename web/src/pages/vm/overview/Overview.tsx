/** What a VM is, at a glance: its screens, its facts, and how well it is shut in. */
import { Alert, Grid, GridItem } from "@patternfly/react-core";
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
  return (
    <Grid hasGutter>
      {warned.map((one) => (
        <GridItem key={one.mid}>
          <Alert component="p" isInline variant="warning" title={one.name}>
            {one.content?.warning}
          </Alert>
        </GridItem>
      ))}
      {may("vm.interact", vm.gid) && vm.displays.length > 0 && vm.state !== "STOPPED" && (
        <GridItem>
          <Screens vm={vm} />
        </GridItem>
      )}
      {info.isError && (
        <GridItem>
          <Failed error={info.error} what="The VM" again={() => void info.refetch()} />
        </GridItem>
      )}
      {info.isPending && (
        <GridItem>
          <Loading />
        </GridItem>
      )}
      {info.data && (
        <>
          <GridItem lg={6}>
            <Facts vm={vm} info={info.data} />
          </GridItem>
          <GridItem lg={6}>
            <Devices info={info.data} />
          </GridItem>
          {info.data.isolation && (
            <GridItem>
              <IsolationCard isolation={info.data.isolation} />
            </GridItem>
          )}
        </>
      )}
    </Grid>
  );
}
