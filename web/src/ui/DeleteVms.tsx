/** The confirmation before VMs are deleted: with their disks, and forced off first, if chosen. */
import { Alert, Checkbox, Content, FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { type Medium, useMay, useObjects, type Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { DeleteVm } from "@/api/schema";
import { runBulk } from "@/ui/bulk";
import { Confirm } from "@/ui/Confirm";
import { Names, nameOrCount } from "@/ui/ForceOff";
import { Hint } from "@/ui/FormDialog";
import { bytes, count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { called } from "@/ui/permissions";
import { idWord, vmCli } from "@/ui/vmCli";
import { ownDisks } from "./ownDisks";
import { undoOf } from "./restore";

interface Props {
  /** As they were when the dialog was opened. */
  vms: readonly Vm[];
  onDone: () => void;
  onClose: () => void;
}

export function DeleteVms({ vms, onDone, onClose }: Props) {
  const may = useMay();
  const path = useGroupPath();
  const [force, setForce] = useState(false);
  const [purge, setPurge] = useState(false);
  const [unticked, setUnticked] = useState<ReadonlySet<string>>(new Set());
  const { disks, shared } = useDisks(vms);
  const running = vms.filter((vm) => vm.state !== "STOPPED");
  const canForce = running.every((vm) => may("vm.state", vm.gid));
  const taken = force ? vms : vms.filter((vm) => vm.state === "STOPPED");
  const first = taken[0] ?? vms[0];
  if (!first) return null;
  /** Which disks are deleted and which stay, for the request. */
  const fate = (vm: Vm): Fate => {
    const own = may("media.remove", vm.gid) ? (disks.get(vm.vmid) ?? []) : [];
    if (own.every((one) => unticked.has(one.mid))) return {};
    const leave = [
      ...own.filter((one) => unticked.has(one.mid)),
      ...shared.filter((one) => vm.media.includes(one.mid)),
    ];
    return { disks: true, ...(leave.length > 0 ? { leave: leave.map((one) => one.mid) } : {}) };
  };
  const { disks: withDisks, leave } = fate(first);
  const body = { vmid: first.vmid, ...fate(first), ...(purge ? { purge } : {}) };
  const options = [
    ...(force ? ["--force"] : []),
    ...(withDisks ? ["--with-disks"] : []),
    ...(leave ?? []).flatMap((mid) => ["--leave", idWord(mid)]),
    ...(purge ? ["--purge"] : []),
  ];
  const removeAll = () => deleteAll(taken, { force, purge, fate });
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
        unticked={unticked}
        onChange={setUnticked}
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
                : `${running.length.toLocaleString()} of them ${running.length === 1 ? "is" : "are"} not stopped`
            }
          >
            Only stopped VMs can be deleted.
            {!canForce && ` You may not stop them: this needs the permission ${called("vm.state")}.`}
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

/** Only a single VM is asked which media it only reads, as the list of VMs does not contain that. */
function useDisks(vms: readonly Vm[]): ReturnType<typeof ownDisks> {
  const media = useObjects("medium");
  const info = useAnswer("post", "/v/vm", { vmid: vms[0]?.vmid ?? 0 }, { enabled: vms.length === 1 });
  const reads = new Set(info.data?.media.filter((one) => one.readonly).map((one) => one.mid));
  return ownDisks(
    vms,
    media.filter((one) => !reads.has(one.mid)),
  );
}

interface DisksProps {
  vms: readonly Vm[];
  disks: Map<number, Medium[]>;
  shared: readonly Medium[];
  unticked: ReadonlySet<string>;
  onChange: (unticked: ReadonlySet<string>) => void;
}

const NAMED = 4;

/** The disks of a single VM are chosen one by one; those of several together. */
function Disks({ vms, disks, shared, unticked, onChange }: DisksProps) {
  const all = vms.flatMap((vm) => disks.get(vm.vmid) ?? []);
  const names = (some: readonly Medium[]) =>
    some.length > NAMED ? count(some.length, "disk") : some.map((one) => one.name).join(", ");
  const without = (mid: string) => new Set([...unticked].filter((one) => one !== mid));
  const size = all.reduce((sum, one) => sum + one.size, 0);
  return (
    <>
      {all.length > 0 && vms.length === 1 && (
        <FormGroup
          role="group"
          label={all.length === 1 ? "Delete its disk too" : "Delete its disks too"}
          fieldId="delete-disks"
        >
          {all.map((one) => (
            <Checkbox
              key={one.mid}
              id={`delete-${one.mid}`}
              label={one.name}
              description={bytes(one.size)}
              isChecked={!unticked.has(one.mid)}
              onChange={(_event, on) => onChange(on ? without(one.mid) : new Set([...unticked, one.mid]))}
            />
          ))}
          <Hint>ISOs, and what is not ticked, remain under Media.</Hint>
        </FormGroup>
      )}
      {all.length > 0 && vms.length > 1 && (
        <Checkbox
          id="delete-disks"
          label={`Delete their ${all.length === 1 ? "disk" : "disks"} too`}
          description={
            <>
              <bdi>{names(all)}</bdi> ({bytes(size)}). ISOs remain under Media.
            </>
          }
          isChecked={unticked.size === 0}
          onChange={(_event, on) => onChange(new Set(on ? [] : all.map((one) => one.mid)))}
        />
      )}
      {shared.length > 0 && (
        <Content component="p">
          <bdi>{names(shared)}</bdi>{" "}
          {shared.length === 1
            ? "is attached to another VM as well, and remains"
            : "are attached to other VMs as well, and remain"}
          .
        </Content>
      )}
    </>
  );
}

/** What the request that deletes a VM says about its disks. */
type Fate = Pick<DeleteVm, "disks" | "leave">;

function deleteAll(
  vms: readonly Vm[],
  how: { force: boolean; purge: boolean; fate: (vm: Vm) => Fate },
): Promise<boolean> {
  return runBulk(vms, {
    pending: how.purge ? "Removing" : "Deleting",
    done: how.purge ? "deleted permanently" : "moved to the trash",
    noun: "VM",
    name: (vm) => vm.name,
    offer: how.purge
      ? undefined
      : undoOf(
          "vm",
          vms.map((one) => one.vmid),
        ),
    do: async (vm) => {
      if (how.force && vm.state !== "STOPPED")
        await call("put", "/v/vm/state", { vmid: vm.vmid, state: "STOPPED", force: true });
      const { vmid, revision } = vm;
      await call("delete", "/v/vm", { vmid, revision, purge: how.purge, ...how.fate(vm) });
    },
  });
}
