/** A medium of the file at a URL, which the server fetches as a task. */
import { Checkbox, FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { useGroupsWhere } from "@/ui/groups";
import { groupOption, idWord } from "@/ui/vmCli";
import { DISK_FORMATS, type Format } from "./content";
import { checksumProblem, fetched, freeName, mediumNameProblem, urlProblem } from "./rules";
import { Below, TargetFields } from "./TargetFields";
import { useTarget } from "./target";

const FIELDS = ["url", "gid", "mpid", "name", "sha256", "format"];

export function FetchUrl({ onClose }: { onClose: () => void }) {
  const target = useTarget();
  const reach = useGroupsWhere("host.reach").length > 0;
  const act = useAction();
  const refused = useRefusal(FIELDS);
  const [url, setUrl] = useState("");
  const [typed, setTyped] = useState<string>();
  const [chosen, setChosen] = useState<boolean>();
  const [format, setFormat] = useState<Format>("qcow2");
  const [sum, setSum] = useState("");
  const [readonly, setReadonly] = useState(false);
  const file = fetched(url);
  const imports = chosen ?? file.isImage;
  const proposed = imports ? file.stem : file.name;
  const name = typed ?? (proposed ? freeName(proposed, target.taken) : "");
  const addressing = urlProblem(url, sum !== "");
  const naming = mediumNameProblem(name, target.taken);
  const summing = checksumProblem(sum);
  const body = {
    ...{ url: url.trim(), gid: target.gid, mpid: target.mpid ?? 0, name, type: file.type },
    ...(sum ? { sha256: sum.trim() } : {}),
    ...(imports ? { format } : {}),
    ...(readonly ? { readonly } : {}),
  };
  const submit = async () => {
    return act({
      pending: `Starting to fetch ${name}`,
      done: `${name} is being fetched`,
      task: ({ tid }) => tid,
      do: () => refused.during(() => call("put", "/m/media/fetch", body)),
    });
  };
  return (
    <FormDialog
      title="Fetch from a URL"
      about={`The server downloads it, and resumes after an interruption.${reach ? "" : " Only public addresses can be fetched from."}`}
      verb="Fetch"
      ready={!addressing && !naming && !summing && target.mpid !== undefined}
      refusal={refused.last}
      cli={[
        ...["velocity", "media", "fetch", body.url, "--name", name, "--type", file.type],
        ...(imports ? ["--format", format] : ["--as-is"]),
        ...(sum ? ["--sha256", sum.trim()] : []),
        ...(readonly ? ["--readonly"] : []),
        ...groupOption(target.gid, target.path),
        ...["--pool", idWord(target.mpid ?? "")],
      ]}
      request={{ method: "put", path: "/m/media/fetch", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="URL" fieldId="fetch-url" isRequired>
        <TextInput
          id="fetch-url"
          type="url"
          value={url}
          onChange={(_event, value) => setUrl(value)}
          validated={(url && addressing) || refused.at("url") ? "error" : "default"}
          isRequired
        />
        <Below problem={(url ? addressing : undefined) ?? refused.at("url")}>
          An https:// or http:// address. Others see only its host.
        </Below>
      </FormGroup>
      <FormGroup label="Name" fieldId="fetch-name" isRequired>
        <TextInput
          id="fetch-name"
          value={name}
          onChange={(_event, value) => setTyped(value)}
          validated={(name && naming) || refused.at("name") ? "error" : "default"}
          isRequired
        />
        <Below problem={(name ? naming : undefined) ?? refused.at("name")} />
      </FormGroup>
      <FormGroup label="SHA-256" fieldId="fetch-sum">
        <TextInput
          id="fetch-sum"
          value={sum}
          onChange={(_event, value) => setSum(value)}
          validated={(summing ?? refused.at("sha256")) ? "error" : "default"}
        />
        <Below problem={summing ?? refused.at("sha256")}>
          Optional: the checksum published beside the file. A file that does not match is discarded.
        </Below>
      </FormGroup>
      <Checkbox
        id="fetch-imports"
        label="Import as a disk"
        description="Unpacks and converts the image in the file. Otherwise it is stored as it is, like an ISO."
        isChecked={imports}
        onChange={(_event, on) => setChosen(on)}
      />
      {imports && (
        <FormGroup label="Format" fieldId="fetch-format">
          <Choose
            id="fetch-format"
            value={format}
            onChange={(value) => setFormat(value as Format)}
            choices={DISK_FORMATS}
          />
          <Below problem={refused.at("format")} />
        </FormGroup>
      )}
      <Checkbox
        id="fetch-readonly"
        label="Permanently read-only, for all VMs"
        isChecked={readonly}
        onChange={(_event, on) => setReadonly(on)}
      />
      <TargetFields target={target} problem={refused.at("gid")} poolProblem={refused.at("mpid")} />
    </FormDialog>
  );
}
