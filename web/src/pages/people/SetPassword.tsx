/** Another password for somebody else; all of that user's sessions end. */
import { useState } from "react";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { passwordProblem } from "@/ui/problems";
import { userWord } from "./commands";
import type { Whom } from "./grants";
import { readMembersAgain } from "./members";
import { PasswordField } from "./PasswordField";
import { ShownOnce } from "./ShownOnce";

export function SetPassword({ whom, onClose }: { whom: Whom; onClose: () => void }) {
  const act = useAction();
  const [password, setPassword] = useState("");
  const [done, setDone] = useState(false);
  const refusal = useRefusal(["password"]);
  if (done) return <ShownOnce title={`${whom.name} has a new password`} password={password} onClose={onClose} />;
  return (
    <FormDialog
      title={`Set the password of ${whom.name}`}
      about="All sessions of this user end immediately, on every device."
      verb="Set the password"
      ready={passwordProblem(password) === undefined}
      refusal={refusal.last}
      cli={["velocity", "user", "passwd", userWord(whom.name, whom.uid)]}
      request={{ method: "patch", path: "/u/user", body: { uid: whom.uid, password: "…" } }}
      onSubmit={async () => {
        const set = await act({
          pending: `Setting the password of ${whom.name}`,
          done: `Password of ${whom.name} set`,
          do: () => refusal.during(() => call("patch", "/u/user", { uid: whom.uid, password })),
        });
        if (set) void readMembersAgain();
        setDone(set);
        return false; // what was set is shown, or what was refused
      }}
      onClose={onClose}
    >
      <PasswordField
        label="New password"
        value={password}
        refused={refusal.at("password")}
        onChange={(value) => {
          setPassword(value);
        }}
      />
    </FormDialog>
  );
}
