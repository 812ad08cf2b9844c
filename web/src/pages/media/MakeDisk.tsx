/** A disk made of another medium, as a task: the import of an image, or a clone. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { Medium } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { groupOption, idWord } from "@/ui/vmCli";
import { DISK_FORMATS, type Format, formatWords } from "./content";
import { freeName, mediumNameProblem, roomProblem, stem } from "./rules";
import { Below, TargetFields } from "./TargetFields";
import { useTarget } from "./target";

const FIELDS = ["gid", "mpid", "name", "format"];
export type Making = "import" | "clone";

export function MakeDisk({ medium, making, onClose }: { medium: Medium; making: Making; onClose: () => void }) {
  const target = useTarget(medium);
  const act = useAction();
  const refused = useRefusal(FIELDS);
  const [typed, setTyped] = useState<string>();
  const [format, setFormat] = useState<Format>(making === "clone" && medium.format === "raw" ? "raw" : "qcow2");
  const name = typed ?? freeName(making === "import" ? stem(medium.name) : `${medium.name} copy`, target.taken);
  const naming = mediumNameProblem(name, target.taken);
  const room = making === "clone" ? roomProblem(target.pool, medium.size, target) : undefined;
  const body = { mid: medium.mid, gid: target.gid, mpid: target.mpid ?? 0, name, format };
  const path = making === "import" ? "/m/media/import" : "/m/media/clone";
  /** The command line looks for the source in the group that the disk goes to. */
  const line = [
    ...["velocity", "media", making, idWord(medium.mid), ...(making === "import" ? ["--name", name] : [name])],
    ...["--format", format, ...groupOption(target.gid, target.path), "--pool", idWord(target.mpid ?? "")],
  ];
  const submit = async () => {
    return act({
      pending: making === "import" ? `Starting to import ${medium.name}` : `Starting to clone ${medium.name}`,
      done: `${name} is being created`,
      task: ({ tid }) => tid,
      do: () => refused.during(() => call("put", path, body)),
    });
  };
  return (
    <FormDialog
      title={making === "import" ? `Make a disk from ${medium.name}` : `Clone ${medium.name}`}
      about={
        making === "import"
          ? `${formatWords(medium)}, ${bytes(medium.size)}. It is kept; the disk is a separate medium.`
          : `${bytes(medium.size)}. Blocks are shared if the file system can do so.`
      }
      verb={making === "import" ? "Import" : "Clone"}
      ready={!naming && !room && target.mpid !== undefined}
      lacking={naming ? undefined : room}
      refusal={refused.last}
      cli={target.gid === medium.gid ? line : undefined}
      request={{ method: "put", path, body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="make-name" isRequired>
        <TextInput
          id="make-name"
          value={name}
          onChange={(_event, value) => setTyped(value)}
          validated={(naming ?? refused.at("name")) ? "error" : "default"}
          isRequired
        />
        <Below problem={naming ?? refused.at("name")} />
      </FormGroup>
      <FormGroup label="Format" fieldId="make-format">
        <Choose
          id="make-format"
          value={format}
          onChange={(value) => setFormat(value as Format)}
          choices={DISK_FORMATS}
        />
        <Below problem={refused.at("format")} />
      </FormGroup>
      <TargetFields target={target} problem={refused.at("gid")} poolProblem={room ?? refused.at("mpid")} />
    </FormDialog>
  );
}
