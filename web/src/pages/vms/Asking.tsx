/** The questions before a VM is switched off or deleted, for one and for many. */
import { Alert, Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { useMay, type Vm } from "@/api/live";
import { Confirm } from "@/ui/Confirm";
import { count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmGroup } from "../vm/cli";
import { deleteAll, doToAll, suits } from "./doing";

/** Asked of these VMs, as they were when it was asked. */
export interface Question {
  about: "kill" | "delete";
  vms: readonly Vm[];
}

interface Props {
  vms: readonly Vm[];
  onDone: () => void;
  onClose: () => void;
}

export function Asking({ question, onDone, onClose }: { question: Question; onDone: () => void; onClose: () => void }) {
  const props = { vms: question.vms, onDone, onClose };
  return question.about === "kill" ? <ForceOff {...props} /> : <Delete {...props} />;
}

const MOST = 8;

function Names({ vms }: { vms: readonly Vm[] }) {
  if (vms.length === 1) return null;
  const rest = vms.length - MOST;
  return (
    <Content component="p" className="v-vms-names">
      {vms
        .slice(0, MOST)
        .map((vm) => vm.name)
        .join(", ")}
      {rest > 0 && ` and ${rest} more`}
    </Content>
  );
}

const called = (vms: readonly Vm[]): string => (vms.length === 1 && vms[0] ? vms[0].name : count(vms.length, "VM"));

function ForceOff({ vms, onDone, onClose }: Props) {
  const path = useGroupPath();
  const first = vms[0];
  return (
    <Confirm
      title={`Force ${called(vms)} off?`}
      verb="Force off"
      cli={first && ["velocity", "vm", "stop", first.name, "--force", ...vmGroup(first, path(first.gid))]}
      request={
        first && { method: "put", path: "/v/vm/state", body: { vmid: first.vmid, state: "STOPPED", force: true } }
      }
      onConfirm={async () => {
        void doToAll(vms, "kill");
        onDone();
        return true;
      }}
      onClose={onClose}
    >
      <Names vms={vms} />
      <Content component="p">{first && suits(first, "kill")?.danger}</Content>
    </Confirm>
  );
}

function Delete({ vms, onDone, onClose }: Props) {
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
      title={`Delete ${called(vms)}?`}
      verb={taken.length === vms.length ? "Delete" : `Delete ${taken.length.toLocaleString()}`}
      disabled={taken.length === 0}
      cli={[
        "velocity",
        "vm",
        "rm",
        first.name,
        ...(force ? ["--force"] : []),
        ...(purge ? ["--purge"] : []),
        ...vmGroup(first, path(first.gid)),
      ]}
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
        {purge ? "This cannot be undone." : "It goes into the trash, from where it can be restored."} Its media stay.
      </Content>
      {running.length > 0 && (
        <>
          <Alert
            isInline
            variant="warning"
            title={
              running.length === vms.length
                ? `${called(running)} ${running.length === 1 ? "is" : "are"} not stopped`
                : `${count(running.length, "VM")} of them ${running.length === 1 ? "is" : "are"} not stopped`
            }
          >
            Only what is stopped can be deleted.
            {!canForce && " You may not stop them: that needs velocity.vm.state."}
          </Alert>
          {canForce && (
            <Checkbox
              id="delete-force"
              className="v-space-above"
              label="Force off first"
              description="What the guest has not written to its disks is lost."
              isChecked={force}
              onChange={(_event, on) => setForce(on)}
            />
          )}
        </>
      )}
      <Checkbox
        id="delete-purge"
        className="v-space-above"
        label="For good, past the trash"
        description="With its firmware settings; it can never be restored."
        isChecked={purge}
        onChange={(_event, on) => setPurge(on)}
      />
    </Confirm>
  );
}
