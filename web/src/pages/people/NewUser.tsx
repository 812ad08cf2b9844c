/** A new user, who holds nothing yet; the password is shown once to be handed over. */
import { Button, FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects } from "@/api/live";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { nameProblem, passwordProblem } from "@/ui/problems";
import { newUserLine } from "./commands";
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
  const [created, setCreated] = useState<number>();
  const refusal = useRefusal(["name", "password"]);
  const wrong = useUserNameProblem(name);
  if (created !== undefined)
    return (
      <ShownOnce title={`The user ${name} is created`} password={password} onClose={onClose}>
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
      cli={newUserLine(name)}
      request={{ method: "put", path: "/u/user", body: { name, password: "…" } }}
      onSubmit={async () => {
        await act({
          pending: `Creating the user ${name}`,
          done: `The user ${name} is created`,
          do: () =>
            refusal.during(async () => {
              setCreated((await call("put", "/u/user", { name, password })).uid);
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
    </FormDialog>
  );
}
