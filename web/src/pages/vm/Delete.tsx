/** Deleting a VM: into the trash, or for good. Its media stay. */
import { Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { call } from "@/api/call";
import type { Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { count } from "@/ui/format";
import { vmCli } from "@/ui/vmCli";

export function Delete({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const [purge, setPurge] = useState(false);
  const act = useAction();
  const navigate = useNavigate();
  const body = { vmid: vm.vmid, revision: vm.revision, ...(purge ? { purge } : {}) };
  const remove = async () => {
    const done = await act({
      pending: `Deleting ${vm.name}`,
      done: purge ? `${vm.name} is deleted permanently` : `${vm.name} is in the trash`,
      do: () => call("delete", "/v/vm", body),
    });
    if (done) void navigate("/vms");
    return done;
  };
  return (
    <Confirm
      title={`Delete ${vm.name}?`}
      verb={purge ? "Delete permanently" : "Delete"}
      cli={vmCli(vm, "rm", ...(purge ? ["--purge"] : []))}
      request={{ method: "delete", path: "/v/vm", body: { vmid: vm.vmid, ...(purge ? { purge } : {}) } }}
      onConfirm={remove}
      onClose={onClose}
    >
      <Content component="p">
        {purge
          ? "Its settings and firmware variables are removed and cannot be restored."
          : "It is moved to the trash with its firmware variables and can be restored from there."}{" "}
        {vm.media.length > 0
          ? `Its ${count(vm.media.length, "medium", "media")} ${vm.media.length === 1 ? "remains" : "remain"} under Media.`
          : "It has no media."}
      </Content>
      <Checkbox
        id="purge"
        label="Delete permanently, without the trash"
        isChecked={purge}
        onChange={(_event, on) => setPurge(on)}
      />
    </Confirm>
  );
}
