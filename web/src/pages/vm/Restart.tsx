/** A restart: the server stops the VM and starts it again, so what waits for a start takes effect. No tab has to stay open. */
import { Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { vmCli } from "@/ui/vmCli";

export function Restart({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const [force, setForce] = useState(false);
  const body = { vmid: vm.vmid, ...(force ? { force } : {}) };
  return (
    <Confirm
      title={`Restart ${vm.name}?`}
      verb="Restart"
      danger={force}
      cli={vmCli(vm, "restart", ...(force ? ["--force"] : []))}
      request={{ method: "put", path: "/v/vm/restart", body }}
      onConfirm={() =>
        act({
          pending: `Restarting ${vm.name}`,
          done: `${vm.name} is restarting`,
          do: () => call("put", "/v/vm/restart", body),
        })
      }
      onClose={onClose}
    >
      <Content component="p">
        {force
          ? "It is switched off, then started again"
          : "The guest is asked to shut down. Once it has, the server starts the VM again"}
        {vm.waiting.length > 0 ? ", with the settings that wait for a start" : ""}.
      </Content>
      <Checkbox
        id="restart-force"
        label="Force off instead of asking the guest"
        description="Data that the guest has not written to its disks is lost."
        isChecked={force}
        onChange={(_event, on) => setForce(on)}
      />
    </Confirm>
  );
}
