/** Asked before VMs are stopped in the list, where a row is taken for another one more easily than a VM on its own page. */
import { Content } from "@patternfly/react-core";
import type { Vm } from "@/api/live";
import { Confirm } from "@/ui/Confirm";
import { Names, nameOrCount } from "@/ui/ForceOff";
import { useGroupPath } from "@/ui/groups";
import { runOnVms, STOP } from "@/ui/vmActions";
import { vmCli } from "@/ui/vmCli";

/** They stay selected: those that do not react are forced off next. */
export function Stop({ vms, onClose }: { vms: readonly Vm[]; onClose: () => void }) {
  const path = useGroupPath();
  const [first] = vms;
  return (
    <Confirm
      title={`Stop ${nameOrCount(vms)}?`}
      verb={STOP.title}
      danger={false}
      cli={first && vmCli({ ...first, path: path(first.gid) }, "stop")}
      request={first && { method: "put", path: "/v/vm/state", body: { vmid: first.vmid, state: STOP.state } }}
      onConfirm={async () => {
        void runOnVms(vms, STOP);
        return true;
      }}
      onClose={onClose}
    >
      <Names vms={vms} />
      <Content component="p">
        {vms.length === 1
          ? "The guest is asked to shut down. One that does not react can be forced off."
          : "Their guests are asked to shut down. Those that do not react can be forced off."}
      </Content>
    </Confirm>
  );
}
