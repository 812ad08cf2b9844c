/** The group that a user is at home in: who may remove users there sets the password, and removes the user. */
import { FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { UserInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupsWhere } from "@/ui/groups";
import { groupWord, userWord } from "./commands";

export function ChangeHome({ user, onClose }: { user: UserInfo; onClose: () => void }) {
  const act = useAction();
  const groups = useGroupsWhere("user.remove");
  const refusal = useRefusal(["gid"]);
  const [chosen, setGid] = useState(user.home);
  const home = groups.find((one) => one.gid === chosen) ?? groups[0];
  const body = { uid: user.uid, gid: home?.gid ?? 0 };
  return (
    <FormDialog
      title={`Home group of ${user.name}`}
      about="Whoever may remove users in the home group may set the password of this user, and remove them. Permissions stay as they are."
      verb="Save"
      ready={home !== undefined && home.gid !== user.home}
      missing="Choose another group."
      refusal={refusal.last}
      cli={["velocity", "user", "set", userWord(user.name, user.uid), "--group", groupWord(home?.path ?? "", body.gid)]}
      request={{ method: "patch", path: "/u/user", body }}
      onSubmit={() =>
        act({
          pending: `Changing the home group of ${user.name}`,
          done: `Home of ${user.name} changed to ${home?.path}`,
          do: () => refusal.during(() => call("patch", "/u/user", body)),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="Home group" fieldId="user-home">
        <Choose
          id="user-home"
          value={String(body.gid)}
          onChange={(value) => setGid(Number(value))}
          choices={groups.map((one) => ({ value: String(one.gid), label: one.path }))}
        />
        <Hint wrong={refusal.at("gid")} />
      </FormGroup>
    </FormDialog>
  );
}
