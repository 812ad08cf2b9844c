/** A new user, who holds nothing yet; the password is shown once to be handed over. */
import { Button, FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupsWhere } from "@/ui/groups";
import { nameProblem, passwordProblem } from "@/ui/problems";
import { groupWord, newUserLine } from "./commands";
import { PasswordField } from "./PasswordField";
import { ShownOnce } from "./ShownOnce";

export function useUserNameProblem(name: string): string | undefined {
  const users = useObjects("user");
  if (name === "") return undefined;
  return (
    nameProblem(name) ?? (users.some((one) => one.name === name) ? "A user with that name already exists." : undefined)
  );
}

export function NewUser({ onGive, onClose }: { onGive: ((uid: number) => void) | undefined; onClose: () => void }) {
  const act = useAction();
  const [name, setName] = useState("");
  const [password, setPassword] = useState("");
  const homes = useGroupsWhere("user.create");
  const [home, setHome] = useState("");
  const at = homes.find((one) => String(one.gid) === home);
  const body = { name, password, ...(at ? { gid: at.gid } : {}) };
  const [created, setCreated] = useState<number>();
  const refusal = useRefusal(["name", "password", "gid"]);
  const wrong = useUserNameProblem(name);
  if (created !== undefined)
    return (
      <ShownOnce title={`User ${name} created`} password={password} onClose={onClose}>
        {onGive && <Button onClick={() => onGive(created)}>Grant permissions</Button>}
      </ShownOnce>
    );
  return (
    <FormDialog
      title="Create a user"
      about="A new user has no permissions. Grant them afterwards, on a group."
      verb="Create"
      ready={name !== "" && !wrong && passwordProblem(password) === undefined}
      refusal={refusal.last}
      cli={newUserLine(name, at && groupWord(at.path, at.gid))}
      request={{ method: "put", path: "/u/user", body: { ...body, password: "…" } }}
      onSubmit={async () => {
        await act({
          pending: `Creating the user ${name}`,
          done: `User ${name} created`,
          do: () =>
            refusal.during(async () => {
              setCreated((await call("put", "/u/user", body)).uid);
            }),
        });
        return false; // what was set is shown, or what was refused
      }}
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="user-name" isRequired>
        <TextInput
          id="user-name"
          value={name}
          isRequired
          autoComplete="off"
          validated={(wrong ?? refusal.at("name")) ? "error" : "default"}
          aria-describedby="user-name-hint"
          onChange={(_event, value) => {
            setName(value);
          }}
        />
        <Hint id="user-name-hint" wrong={wrong ?? refusal.at("name")}>
          The user signs in with exactly this name.
        </Hint>
      </FormGroup>
      <PasswordField
        value={password}
        refused={refusal.at("password")}
        onChange={(value) => {
          setPassword(value);
        }}
      />
      {homes.length > 1 && (
        <FormGroup label="Home group" fieldId="user-home">
          <Choose
            id="user-home"
            value={home}
            onChange={setHome}
            choices={[
              { value: "", label: "Automatic: where you create users, or the root group" },
              ...homes.map((one) => ({ value: String(one.gid), label: one.path })),
            ]}
          />
          <Hint wrong={refusal.at("gid")}>
            Whoever may remove users there may set the password of this user, and remove them.
          </Hint>
        </FormGroup>
      )}
    </FormDialog>
  );
}
