/** The file systems of the guest stand still while something outside copies its disks. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { FreezeGuest } from "@/api/limits";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmCli } from "@/ui/vmCli";
import type { OfGuest } from "./dialog";

const { minimum, maximum } = FreezeGuest.timeout;

export function Freeze({ vm, onClose }: OfGuest) {
  const act = useAction();
  const path = useGroupPath();
  const refusal = useRefusal(["timeout"]);
  const [text, setText] = useState("60");
  const timeout = /^\d+$/.test(text.trim()) ? Number(text) : 0;
  const wrong = timeout < minimum || timeout > maximum ? `${minimum} to ${maximum} seconds.` : undefined;
  const body = { vmid: vm.vmid, timeout };
  return (
    <FormDialog
      title={`Freeze the file systems of ${vm.name}`}
      about="Copies of its disks that are made meanwhile are consistent. Programs in the guest that write wait until the file systems are thawed."
      verb="Freeze"
      ready={!wrong}
      refusal={refusal.last}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "freeze", "--timeout", String(timeout))}
      request={{ method: "put", path: "/v/vm/freeze", body }}
      onSubmit={() =>
        act({
          pending: `Freezing the file systems of ${vm.name}`,
          done: ({ filesystems }) => `${count(filesystems, "file system")} of ${vm.name} frozen`,
          do: () => refusal.during(() => call("put", "/v/vm/freeze", body)),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="At most, in seconds" fieldId="freeze-timeout" isRequired>
        <TextInput
          id="freeze-timeout"
          inputMode="numeric"
          value={text}
          onChange={(_event, value) => setText(value)}
          validated={(wrong ?? refusal.at("timeout")) ? "error" : "default"}
          autoComplete="off"
          isRequired
        />
        <Hint wrong={wrong ?? refusal.at("timeout")}>
          Then the server thaws them by itself. “Thaw now”, in the VM's head, does it before.
        </Hint>
      </FormGroup>
    </FormDialog>
  );
}
