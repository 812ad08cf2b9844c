/** Public keys that may sign in as a user of the guest, added by its agent. */
import { FormGroup, TextArea } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { keysOf, keysProblem } from "@/ui/cloudInit";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { vmWords } from "@/ui/vmCli";
import { useVmInfo } from "../useVmInfo";
import type { OfGuest } from "./dialog";
import { likelyUser, UserField } from "./UserField";

export function AddKeys({ vm, told, onClose }: OfGuest) {
  const act = useAction();
  const path = useGroupPath();
  const made = useVmInfo(vm).data?.cloud_init.user;
  const refusal = useRefusal(["user", "keys"]);
  const [user, setUser] = useState(() => likelyUser(told, made));
  const [text, setText] = useState("");
  const keys = keysOf(text);
  const wrong = refusal.at("keys") ?? (text === "" ? undefined : keysProblem(keys));
  const body = { vmid: vm.vmid, user: user.trim(), keys };
  return (
    <FormDialog
      title={`Add SSH keys to ${vm.name}`}
      about="The guest agent adds them to the keys that this user already has."
      verb="Add"
      ready={body.user !== "" && keys.length > 0 && !keysProblem(keys)}
      missing={keys.length === 0 ? "Paste a public key." : body.user === "" ? "Type the name of a user." : undefined}
      refusal={refusal.last}
      cli={["velocity", "vm", "ssh-key", "add", ...vmWords({ ...vm, path: path(vm.gid) }, [body.user, "key.pub"])]}
      request={{ method: "put", path: "/v/vm/guest/keys", body }}
      onSubmit={() =>
        act({
          pending: `Adding ${count(keys.length, "key")} to ${vm.name}`,
          done: `${count(keys.length, "key")} of ${body.user} added to ${vm.name}`,
          do: () => refusal.during(() => call("put", "/v/vm/guest/keys", body)),
        })
      }
      onClose={onClose}
    >
      <UserField value={user} refused={refusal.at("user")} onChange={setUser} />
      <FormGroup label="Public keys" fieldId="guest-keys" isRequired>
        <TextArea
          id="guest-keys"
          value={text}
          onChange={(_event, value) => setText(value)}
          validated={wrong ? "error" : "default"}
          rows={4}
          resizeOrientation="vertical"
          spellCheck={false}
          autoComplete="off"
        />
        <Hint wrong={wrong}>One per line, as in a file that ends in .pub.</Hint>
      </FormGroup>
    </FormDialog>
  );
}
