/** The confirmation before VMs are forced off. */
import { Content } from "@patternfly/react-core";
import type { Vm } from "@/api/live";
import { Confirm } from "./Confirm";
import { count } from "./format";
import { useGroupPath } from "./groups";
import { KILL, runOnVms } from "./vmActions";
import { vmCli } from "./vmCli";

interface Props {
  /** As they were when the dialog was opened. */
  vms: readonly Vm[];
  onDone?: () => void;
  onClose: () => void;
}

export function ForceOff({ vms, onDone, onClose }: Props) {
  const path = useGroupPath();
  const first = vms[0];
  return (
    <Confirm
      title={`Force ${nameOrCount(vms)} off?`}
      verb={KILL.title}
      cli={first && vmCli({ ...first, path: path(first.gid) }, "stop", "--force")}
      request={
        first && { method: "put", path: "/v/vm/state", body: { vmid: first.vmid, state: "STOPPED", force: true } }
      }
      onConfirm={async () => {
        void runOnVms(vms, KILL);
        onDone?.();
        return true;
      }}
      onClose={onClose}
    >
      <Names vms={vms} />
      <Content component="p">{KILL.danger}</Content>
    </Confirm>
  );
}

const MOST = 8;

export function Names({ vms }: { vms: readonly Vm[] }) {
  if (vms.length === 1) return null;
  const rest = vms.length - MOST;
  return (
    <Content component="p" className="v-breaks">
      {vms
        .slice(0, MOST)
        .map((vm) => vm.name)
        .join(", ")}
      {rest > 0 && ` and ${rest} more`}
    </Content>
  );
}

export const nameOrCount = (vms: readonly Vm[]): string =>
  vms.length === 1 && vms[0] ? vms[0].name : count(vms.length, "VM");
