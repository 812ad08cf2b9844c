/** A reset, as by the button on a computer's case: the guest boots again at once, and is not asked. */
import { Content } from "@patternfly/react-core";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { vmCli } from "@/ui/vmCli";

export function Reset({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const body = { vmid: vm.vmid };
  const held = vm.state === "PAUSED" && vm.wanted === "PAUSED";
  return (
    <Confirm
      title={`Reset ${vm.name}?`}
      verb="Reset"
      danger
      cli={vmCli(vm, "reset")}
      request={{ method: "put", path: "/v/vm/reset", body }}
      onConfirm={() =>
        act({
          pending: `Resetting ${vm.name}`,
          done: `${vm.name} reset`,
          do: () => call("put", "/v/vm/reset", body),
        })
      }
      onClose={onClose}
    >
      <Content component="p">
        {held
          ? "It stays paused, before its first instruction: resume it, and it boots."
          : "It boots again at once; the guest is not asked."}{" "}
        Data that the guest has not written to its disks is lost.
        {vm.waiting.length > 0 && " Settings that wait for a start keep waiting: that takes a restart."}
      </Content>
    </Confirm>
  );
}
