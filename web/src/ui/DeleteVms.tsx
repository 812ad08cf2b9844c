/** The question before VMs are deleted, for one and for many: with their disks, and forced off first, if wanted. */
import { Alert, Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { type Medium, useMay, useObjects, type Vm } from "@/api/live";
import { runBulk } from "@/ui/bulk";
import { Confirm } from "@/ui/Confirm";
import { Names, nameOrCount } from "@/ui/ForceOff";
import { bytes, count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmCli } from "@/ui/vmCli";
import { ownDisks } from "./ownDisks";
import { undoDeletion } from "./restore";

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
  const [withDisks, setWithDisks] = useState(true);
  const { disks, shared } = ownDisks(vms, useObjects("medium"));
  const running = vms.filter((vm) => vm.state !== "STOPPED");
  const canForce = running.every((vm) => may("vm.state", vm.gid));
  const taken = force ? vms : vms.filter((vm) => vm.state === "STOPPED");
  const takes = (vm: Vm) => withDisks && may("media.remove", vm.gid) && (disks.get(vm.vmid)?.length ?? 0) > 0;
  const first = taken[0] ?? vms[0];
  if (!first) return null;
  const body = { vmid: first.vmid, ...(takes(first) ? { disks: true } : {}), ...(purge ? { purge } : {}) };
  const options = [force && "--force", takes(first) && "--with-disks", purge && "--purge"].filter(
    (one) => one !== false,
  );
  const removeAll = () => deleteAll(taken, { force, purge, takes });
  return (
    <Confirm
      title={`Delete ${nameOrCount(vms)}?`}
      verb={taken.length === vms.length || vms.length === 1 ? "Delete" : `Delete ${taken.length.toLocaleString()}`}
      disabled={taken.length === 0}
      cli={vmCli({ ...first, path: path(first.gid) }, "rm", ...options)}
      request={{ method: "delete", path: "/v/vm", body }}
      onConfirm={async () => {
        const done = removeAll();
        if (vms.length === 1 && !(await done)) return false;
        onDone();
        return true;
      }}
      onClose={onClose}
    >
      <Names vms={vms} />
      <Content component="p">
        {purge ? "This cannot be undone." : `${vms.length === 1 ? "It" : "They"} can be restored from the trash.`}
      </Content>
      <Disks
        vms={vms.filter((vm) => may("media.remove", vm.gid))}
        disks={disks}
        shared={shared}
        isOn={withDisks}
        onChange={setWithDisks}
      />
      {running.length > 0 && (
        <>
          <Alert
            component="p"
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

interface DisksProps {
  vms: readonly Vm[];
  disks: Map<number, Medium[]>;
  shared: readonly Medium[];
  isOn: boolean;
  onChange: (on: boolean) => void;
}

const NAMED = 4;

function Disks({ vms, disks, shared, isOn, onChange }: DisksProps) {
  const all = vms.flatMap((vm) => disks.get(vm.vmid) ?? []);
  const names = (some: readonly Medium[]) =>
    some.length > NAMED ? count(some.length, "disk") : some.map((one) => one.name).join(", ");
  const size = all.reduce((sum, one) => sum + one.size, 0);
  return (
    <>
      {all.length > 0 && (
        <Checkbox
          id="delete-disks"
          label={`Delete ${vms.length === 1 ? "its" : "their"} ${all.length === 1 ? "disk" : "disks"} too`}
          description={
            <>
              <bdi>{names(all)}</bdi> ({bytes(size)}). ISOs remain.
            </>
          }
          isChecked={isOn}
          onChange={(_event, on) => onChange(on)}
        />
      )}
      {shared.length > 0 && (
        <Content component="p">
          {shared.length === 1 ? "Another VM has" : "Other VMs have"} <bdi>{names(shared)}</bdi> as well: the disks of{" "}
          {vms.length === 1 ? "this VM" : "such a VM"} remain.
        </Content>
      )}
    </>
  );
}

function deleteAll(
  vms: readonly Vm[],
  how: { force: boolean; purge: boolean; takes: (vm: Vm) => boolean },
): Promise<boolean> {
  return runBulk(vms, {
    pending: how.purge ? "Removing" : "Deleting",
    done: how.purge ? "deleted permanently" : "moved to the trash",
    noun: "VM",
    name: (vm) => vm.name,
    undo: how.purge
      ? undefined
      : () =>
          void undoDeletion(
            "vm",
            vms.map((one) => one.vmid),
          ),
    do: async (vm) => {
      if (how.force && vm.state !== "STOPPED")
        await call("put", "/v/vm/state", { vmid: vm.vmid, state: "STOPPED", force: true });
      const { vmid, revision } = vm;
      await call("delete", "/v/vm", { vmid, revision, purge: how.purge, disks: how.takes(vm) });
    },
  });
}
