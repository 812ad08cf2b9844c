/** Another group, at once and whatever the VM does, with its disks or without. */
import { Checkbox, FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects, type Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath, useGroupsWhere } from "@/ui/groups";
import { ownDisks } from "@/ui/ownDisks";
import { groupOption, vmCli } from "@/ui/vmCli";

const FIELDS = ["gid", "name", "disks"];

export function MoveVm({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const path = useGroupPath();
  const groups = useGroupsWhere("vm.create").filter((one) => one.gid !== vm.gid);
  const vms = useObjects("vm");
  const media = useObjects("medium");
  const refused = useRefusal(FIELDS);
  const [chosen, setGid] = useState<number>();
  const [disks, setDisks] = useState(true);
  const gid = chosen ?? groups[0]?.gid;
  const own = ownDisks([vm], media).disks.get(vm.vmid) ?? [];
  const taken = vms.some((one) => one.gid === gid && one.name === vm.name);
  const problem = taken ? "That group has a VM with this name: rename one of them first." : undefined;
  const body = { vmid: vm.vmid, gid: gid ?? vm.gid, ...(disks ? {} : { disks }) };
  const options = ["--to", groupOption(body.gid, path(body.gid))[1] ?? "/", ...(disks ? [] : ["--leave-disks"])];
  const submit = () => {
    return act({
      pending: `Moving ${vm.name}`,
      done: `${vm.name} moved`,
      do: () => refused.during(() => call("put", "/v/vm/move", body)),
    });
  };
  return (
    <FormDialog
      title={`Move ${vm.name}`}
      about="It stays as it is, and counts toward the quota of the new group. Permissions are those of the new group."
      verb="Move"
      ready={gid !== undefined && !problem}
      missing={gid === undefined ? "There is no other group in which you may create VMs." : undefined}
      refusal={refused.last}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "move", ...options)}
      request={{ method: "put", path: "/v/vm/move", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="Group" fieldId="move-group">
        <Choose
          id="move-group"
          value={String(gid ?? "")}
          onChange={(value) => setGid(Number(value))}
          choices={groups.map((one) => ({ value: String(one.gid), label: one.path }))}
        />
        <Hint wrong={problem ?? refused.at("gid") ?? refused.at("name")} />
      </FormGroup>
      <FormGroup role="group" label="Moves with it" fieldId="move-disks-group">
        <Checkbox
          id="move-disks"
          label="Its disks"
          description={own.map((one) => one.name).join(", ") || "The media of its group that it writes to."}
          isChecked={disks}
          onChange={(_event, on) => setDisks(on)}
        />
        <Hint wrong={refused.at("disks")} />
      </FormGroup>
    </FormDialog>
  );
}
