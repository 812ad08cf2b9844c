/** Asked before a VM is stopped by its row's button: an icon among others is pressed by mistake more easily than a word. */
import { Content } from "@patternfly/react-core";
import type { Vm } from "@/api/live";
import { Confirm } from "@/ui/Confirm";
import { useGroupPath } from "@/ui/groups";
import { runOnVms, STOP } from "@/ui/vmActions";
import { vmCli } from "@/ui/vmCli";

export function Stop({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const path = useGroupPath();
  return (
    <Confirm
      title={`Stop ${vm.name}?`}
      verb={STOP.title}
      danger={false}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "stop")}
      request={{ method: "put", path: "/v/vm/state", body: { vmid: vm.vmid, state: STOP.state } }}
      onConfirm={() => runOnVms([vm], STOP)}
      onClose={onClose}
    >
      <Content component="p">The guest is asked to shut down. One that does not react can be forced off.</Content>
    </Confirm>
  );
}
