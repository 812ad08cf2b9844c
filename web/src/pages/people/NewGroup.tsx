/** A new group under another one. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects } from "@/api/live";
import { useAction } from "@/ui/actions";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { ROOT, useGroupPath } from "@/ui/groups";
import { nameProblem } from "@/ui/problems";
import { newGroupLine } from "./commands";

/** Why a group cannot be called that under this parent. */
export function useNameProblem(name: string, parent: number): string | undefined {
  const groups = useObjects("group");
  if (name === "") return undefined;
  const taken = groups.some((one) => one.parent_gid === parent && one.gid !== parent && one.name === name);
  return nameProblem(name) ?? (taken ? "A group with that name already exists there: choose another name." : undefined);
}

export function NewGroup({
  parent,
  onDone,
  onClose,
}: {
  parent: number;
  onDone: (gid: number) => void;
  onClose: () => void;
}) {
  const act = useAction();
  const path = useGroupPath()(parent);
  const [name, setName] = useState("");
  const refusal = useRefusal(["name"]);
  const wrong = useNameProblem(name, parent);
  const body = { name, parent_gid: parent };
  return (
    <FormDialog
      title={parent === ROOT ? "Create a group" : `Create a group in ${path}`}
      about="It starts empty. Permissions on the group above also apply to it."
      verb="Create"
      ready={name !== "" && !wrong}
      refusal={refusal.last}
      cli={newGroupLine(name, path, parent)}
      request={{ method: "put", path: "/u/group", body }}
      onSubmit={() =>
        act({
          pending: `Creating the group ${name}`,
          done: `Group ${name} created`,
          do: () =>
            refusal.during(async () => {
              onDone((await call("put", "/u/group", body)).gid);
            }),
        })
      }
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="group-name" isRequired>
        <TextInput
          id="group-name"
          value={name}
          isRequired
          autoComplete="off"
          validated={(wrong ?? refusal.at("name")) ? "error" : "default"}
          aria-describedby="group-name-hint"
          onChange={(_event, value) => {
            setName(value);
          }}
        />
        <Hint id="group-name-hint" wrong={wrong ?? refusal.at("name")} />
      </FormGroup>
    </FormDialog>
  );
}
