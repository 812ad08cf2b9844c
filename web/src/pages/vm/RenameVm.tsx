/** Another name, at once and whatever the VM does. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects, type Vm } from "@/api/live";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { nameProblem } from "@/ui/problems";
import { vmCli } from "@/ui/vmCli";

const FIELDS = ["name"];

export function RenameVm({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const path = useGroupPath();
  const vms = useObjects("vm");
  const refused = useRefusal(FIELDS);
  const [name, setName] = useState(vm.name);
  const taken = vms.some((one) => one.vmid !== vm.vmid && one.gid === vm.gid && one.name === name);
  const problem = nameProblem(name) ?? (taken ? "The group already has a VM with that name." : undefined);
  const same = name === vm.name;
  const body = { vmid: vm.vmid, revision: vm.revision, name };
  return (
    <FormDialog
      title={`Rename ${vm.name}`}
      about="The guest keeps its own host name. The names of the VM's disks stay."
      verb="Rename"
      ready={!problem && !same}
      missing={same ? "This is its name already." : undefined}
      refusal={refused.last}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "set", "--name", name)}
      request={{ method: "patch", path: "/v/vm", body }}
      onSubmit={() =>
        act({
          pending: `Renaming ${vm.name}`,
          done: `${vm.name} renamed to ${name}`,
          do: () => refused.during(() => call("patch", "/v/vm", body)),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="rename-name" isRequired>
        <TextInput
          id="rename-name"
          value={name}
          onChange={(_event, value) => setName(value)}
          validated={problem || refused.at("name") ? "error" : "default"}
          isRequired
        />
        <Hint wrong={problem ?? refused.at("name")} />
      </FormGroup>
    </FormDialog>
  );
}
