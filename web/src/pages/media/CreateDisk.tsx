/** An empty disk: its space is taken as the guest writes, its size counts at once. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { AmountInput } from "@/ui/AmountInput";
import { useAction } from "@/ui/actions";
import { DISK_HELP, diskBytes } from "@/ui/amounts";
import { Choose } from "@/ui/Choose";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { groupOption, idWord } from "@/ui/vmCli";
import { DISK_FORMATS, type Format } from "./content";
import { freeName, mediumNameProblem, roomProblem, scarceWords, sizeProblem } from "./rules";
import { Below, TargetFields } from "./TargetFields";
import { useTarget } from "./target";

const FIELDS = ["gid", "mpid", "name", "size"];

export function CreateDisk({
  first,
  called = "disk",
  about,
  onMade,
  onClose,
}: {
  /** Where it is to go, until something else is chosen. */
  first?: { gid: number };
  /** Its name, until another one is typed; with a number where that is taken. */
  called?: string;
  about?: string;
  onMade?: (mid: string, name: string) => void;
  onClose: () => void;
}) {
  const target = useTarget(first);
  const act = useAction();
  const refused = useRefusal(FIELDS);
  const [typed, setTyped] = useState<string>();
  const [written, setWritten] = useState("20 GiB");
  const [format, setFormat] = useState<Format>("qcow2");
  const name = typed ?? freeName(called, target.taken);
  const size = diskBytes(written);
  const naming = mediumNameProblem(name, target.taken);
  const room = roomProblem(target.pool, size ?? 0, target);
  const unfit = sizeProblem(size);
  const sizing = unfit ?? room;
  const body = { mpid: target.mpid ?? 0, gid: target.gid, name, size: size ?? 0, type: "DISK", format };
  const submit = async () => {
    return act({
      pending: `Creating ${name}`,
      done: `${name} created`,
      do: () =>
        refused.during(async () => {
          const { mid } = await call("put", "/m/media/create", body);
          onMade?.(mid, name);
        }),
    });
  };
  return (
    <FormDialog
      title="Create an empty disk"
      about={about}
      verb="Create"
      ready={!naming && !sizing && target.mpid !== undefined}
      lacking={naming || unfit ? undefined : room}
      refusal={refused.last}
      cli={[
        "velocity",
        "media",
        "create",
        name,
        "--size",
        String(size ?? written),
        "--format",
        format,
        ...groupOption(target.gid, target.path),
        "--pool",
        idWord(target.mpid ?? ""),
      ]}
      request={{ method: "put", path: "/m/media/create", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="Name" fieldId="disk-name" isRequired>
        <TextInput
          id="disk-name"
          value={name}
          onChange={(_event, value) => setTyped(value)}
          validated={(naming ?? refused.at("name")) ? "error" : "default"}
          isRequired
        />
        <Below problem={naming ?? refused.at("name")} />
      </FormGroup>
      <FormGroup label="Size" fieldId="disk-size" isRequired>
        <AmountInput
          id="disk-size"
          unit="GiB"
          value={written}
          onChange={(_event, value) => setWritten(value)}
          validated={(sizing ?? refused.at("size")) ? "error" : "default"}
          isRequired
        />
        <Below problem={sizing ?? refused.at("size")} warning={scarceWords(target.pool?.free, size)}>
          {`${size === undefined ? "" : `${bytes(size)}: space is taken only as the guest writes. `}${DISK_HELP}`}
        </Below>
      </FormGroup>
      <FormGroup label="Format" fieldId="disk-format">
        <Choose
          id="disk-format"
          value={format}
          onChange={(value) => setFormat(value as Format)}
          choices={DISK_FORMATS}
        />
      </FormGroup>
      <TargetFields target={target} problem={refused.at("gid")} poolProblem={refused.at("mpid")} />
    </FormDialog>
  );
}
