/** The password of a user of the guest, set by its agent. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { vmCli } from "@/ui/vmCli";
import { useVmInfo } from "../useVmInfo";
import type { OfGuest } from "./dialog";
import { likelyUser, UserField } from "./UserField";

export function GuestPassword({ vm, told, onClose }: OfGuest) {
  const act = useAction();
  const path = useGroupPath();
  const made = useVmInfo(vm).data?.cloud_init.user;
  const refusal = useRefusal(["user", "password"]);
  const [user, setUser] = useState(() => likelyUser(told, made));
  const [password, setPassword] = useState("");
  const body = { vmid: vm.vmid, user: user.trim(), password };
  return (
    <FormDialog
      title={`Set a password in ${vm.name}`}
      about="The guest agent sets it. Whoever is logged in stays logged in."
      verb="Set the password"
      ready={body.user !== "" && password !== ""}
      missing={password === "" ? "Type a password." : "Type the name of a user."}
      refusal={refusal.last}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "passwd", body.user)}
      request={{ method: "put", path: "/v/vm/guest/password", body: { ...body, password: "…" } }}
      onSubmit={() =>
        act({
          pending: `Setting the password of ${body.user} in ${vm.name}`,
          done: `Password of ${body.user} in ${vm.name} set`,
          do: () => refusal.during(() => call("put", "/v/vm/guest/password", body)),
        })
      }
      onClose={onClose}
    >
      <UserField value={user} refused={refusal.at("user")} onChange={setUser} />
      <FormGroup label="New password" fieldId="guest-password" isRequired>
        <TextInput
          id="guest-password"
          type="password"
          value={password}
          onChange={(_event, value) => setPassword(value)}
          validated={refusal.at("password") ? "error" : "default"}
          autoComplete="new-password"
          isRequired
        />
        <Hint wrong={refusal.at("password")} />
      </FormGroup>
    </FormDialog>
  );
}
