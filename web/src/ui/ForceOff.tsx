/** The confirmation before VMs are forced off. */
import { Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import { runAction } from "./actions";
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
  const restarts = vms.length === 1 && first?.restarting === true;
  const [again, setAgain] = useState(restarts);
  const restart = { vmid: first?.vmid ?? 0, force: true };
  const switchOff = () =>
    again && first
      ? runAction({
          pending: `Restarting ${first.name}`,
          done: `${first.name} is restarting`,
          do: () => call("put", "/v/vm/restart", restart),
        })
      : runOnVms(vms, KILL);
  return (
    <Confirm
      title={`Force ${nameOrCount(vms)} off?`}
      verb={KILL.title}
      cli={first && vmCli({ ...first, path: path(first.gid) }, again ? "restart" : "stop", "--force")}
      request={
        again
          ? { method: "put", path: "/v/vm/restart", body: restart }
          : first && { method: "put", path: "/v/vm/state", body: { vmid: first.vmid, state: "STOPPED", force: true } }
      }
      onConfirm={async () => {
        void switchOff();
        onDone?.();
        return true;
      }}
      onClose={onClose}
    >
      <Names vms={vms} />
      <Content component="p">{KILL.danger}</Content>
      {restarts && (
        <Checkbox
          id="force-off-again"
          label="Start it again"
          description="It is restarting. Without this, it stays off."
          isChecked={again}
          onChange={(_event, on) => setAgain(on)}
        />
      )}
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
