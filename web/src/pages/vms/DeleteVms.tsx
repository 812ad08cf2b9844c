/** The question before VMs are deleted, for one and for many. */
import { Alert, Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useMay, type Vm } from "@/api/live";
import { runBulk } from "@/ui/bulk";
import { Confirm } from "@/ui/Confirm";
import { Names, nameOrCount } from "@/ui/ForceOff";
import { count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmCli } from "@/ui/vmCli";

interface Props {
  /** As they were when it was asked. */
  vms: readonly Vm[];
  onDone: () => void;
  onClose: () => void;
}

export function DeleteVms({ vms, onDone, onClose }: Props) {
  const may = useMay();
  const path = useGroupPath();
  const [force, setForce] = useState(false);
  const [purge, setPurge] = useState(false);
  const running = vms.filter((vm) => vm.state !== "STOPPED");
  const canForce = running.every((vm) => may("vm.state", vm.gid));
  const taken = force ? vms : vms.filter((vm) => vm.state === "STOPPED");
  const first = taken[0] ?? vms[0];
  if (!first) return null;
  return (
    <Confirm
      title={`Delete ${nameOrCount(vms)}?`}
      verb={taken.length === vms.length ? "Delete" : `Delete ${taken.length.toLocaleString()}`}
      disabled={taken.length === 0}
      cli={vmCli(
        { ...first, path: path(first.gid) },
        "rm",
        ...(force ? ["--force"] : []),
        ...(purge ? ["--purge"] : []),
      )}
      request={{ method: "delete", path: "/v/vm", body: purge ? { vmid: first.vmid, purge } : { vmid: first.vmid } }}
      onConfirm={async () => {
        void deleteAll(taken, { force, purge });
        onDone();
        return true;
      }}
      onClose={onClose}
    >
      <Names vms={vms} />
      <Content component="p">
        {purge ? "This cannot be undone." : "Deleted VMs can be restored from the trash."} Media remain.
      </Content>
      {running.length > 0 && (
        <>
          <Alert
            isInline
            variant="warning"
            title={
              running.length === vms.length
                ? `${nameOrCount(running)} ${running.length === 1 ? "is" : "are"} not stopped`
                : `${count(running.length, "VM")} of them ${running.length === 1 ? "is" : "are"} not stopped`
            }
          >
            Only stopped VMs can be deleted.
            {!canForce && " You may not stop them: this needs velocity.vm.state."}
          </Alert>
          {canForce && (
            <Checkbox
              id="delete-force"
              className="v-space-above"
              label="Force off first"
              description="Data that the guest has not written to its disks is lost."
              isChecked={force}
              onChange={(_event, on) => setForce(on)}
            />
          )}
        </>
      )}
      <Checkbox
        id="delete-purge"
        className="v-space-above"
        label="Delete permanently, without the trash"
        description="Including firmware settings; this cannot be undone."
        isChecked={purge}
        onChange={(_event, on) => setPurge(on)}
      />
    </Confirm>
  );
}

function deleteAll(vms: readonly Vm[], how: { force: boolean; purge: boolean }): Promise<boolean> {
  return runBulk(vms, {
    pending: how.purge ? "Removing" : "Deleting",
    done: how.purge ? "deleted permanently" : "moved to the trash",
    noun: "VM",
    name: (vm) => vm.name,
    do: async (vm) => {
      if (how.force && vm.state !== "STOPPED")
        await call("put", "/v/vm/state", { vmid: vm.vmid, state: "STOPPED", force: true });
      await call("delete", "/v/vm", { vmid: vm.vmid, purge: how.purge });
    },
  });
}
