/** Another name, and whether anybody may write to it: changed at once, whatever uses the medium. */
import { Checkbox, FormGroup, TextInput } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { type Medium, useObjects } from "@/api/live";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { typeProblem } from "@/ui/problems";
import { idWord } from "@/ui/vmCli";
import { mediumNameProblem } from "./rules";
import { Below } from "./TargetFields";
import { TypeField } from "./TypeField";
import { useAlter } from "./useAlter";

const FIELDS = ["name", "type", "readonly"];

export function RenameMedium({ medium, onClose }: { medium: Medium; onClose: () => void }) {
  const media = useObjects("medium");
  const refused = useRefusal(FIELDS);
  const [name, setName] = useState(medium.name);
  const [type, setType] = useState(medium.type);
  const [readonly, setReadonly] = useState(medium.readonly);
  const taken = useMemo(
    () => new Set(media.filter((one) => isBeside(one, medium)).map((one) => one.name)),
    [media, medium],
  );
  const naming = mediumNameProblem(name, taken);
  const typing = typeProblem(type);
  const changes = {
    ...(name === medium.name ? {} : { name }),
    ...(type === medium.type ? {} : { type }),
    ...(readonly === medium.readonly ? {} : { readonly }),
  };
  const body = { mid: medium.mid, revision: medium.revision, ...changes };
  const submit = useAlter(body, refused, `Changing ${medium.name}`, `${name} changed`);
  return (
    <FormDialog
      title={`Edit ${medium.name}`}
      about="It stays attached to its VMs."
      verb="Save"
      ready={!naming && !typing && Object.keys(changes).length > 0}
      missing={Object.keys(changes).length === 0 ? "Nothing has been changed yet." : undefined}
      refusal={refused.last}
      cli={[
        ...["velocity", "media", "set", idWord(medium.mid)],
        ...("name" in changes ? ["--name", name] : []),
        ...("type" in changes ? ["--type", type] : []),
        ...("readonly" in changes ? [readonly ? "--readonly" : "--writable"] : []),
      ]}
      request={{ method: "patch", path: "/m/media", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="medium-name" isRequired>
        <TextInput
          id="medium-name"
          value={name}
          onChange={(_event, value) => setName(value)}
          validated={(naming ?? refused.at("name")) ? "error" : "default"}
          isRequired
        />
        <Below problem={naming ?? refused.at("name")} />
      </FormGroup>
      <TypeField id="medium-type" type={type} problem={typing ?? refused.at("type")} onChange={setType} />
      <Checkbox
        id="medium-readonly"
        label="Permanently read-only, for all VMs"
        isChecked={readonly}
        onChange={(_event, on) => setReadonly(on)}
      />
      <Below problem={refused.at("readonly")} />
    </FormDialog>
  );
}

const isBeside = (one: Medium, medium: Medium): boolean =>
  one.gid === medium.gid && one.mpid === medium.mpid && one.mid !== medium.mid;
