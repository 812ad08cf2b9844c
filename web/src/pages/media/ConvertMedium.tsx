/** Another format in its place, or the same one with a file written anew, which takes less space. */
import { FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { Medium } from "@/api/live";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { idWord } from "@/ui/vmCli";
import { DISK_FORMATS, type Format } from "./content";
import { Below } from "./TargetFields";

export function ConvertMedium({ medium, onClose }: { medium: Medium; onClose: () => void }) {
  const act = useAction();
  const refused = useRefusal(["format"]);
  const [format, setFormat] = useState<Format>(medium.format);
  const compacts = format === medium.format;
  const body = { mid: medium.mid, format };
  const submit = async () => {
    return act({
      pending: compacts ? `Starting to compact ${medium.name}` : `Starting to convert ${medium.name}`,
      done: `${medium.name} is being ${compacts ? "compacted" : "converted"}`,
      task: ({ tid }) => tid,
      do: () => refused.during(() => call("put", "/m/media/convert", body)),
    });
  };
  return (
    <FormDialog
      title={`Convert or compact ${medium.name}`}
      about="It stays attached to its VMs. A running VM keeps running; a stopped one cannot start until it is done."
      verb={compacts ? "Compact" : "Convert"}
      ready
      refusal={refused.last}
      cli={
        compacts
          ? ["velocity", "media", "compact", idWord(medium.mid)]
          : ["velocity", "media", "convert", idWord(medium.mid), format]
      }
      request={{ method: "put", path: "/m/media/convert", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <FormGroup label="Format" fieldId="convert-format">
        <Choose
          id="convert-format"
          value={format}
          onChange={(value) => setFormat(value as Format)}
          choices={DISK_FORMATS}
        />
        <Below problem={refused.at("format")}>
          {compacts
            ? `This is its format now: its file, ${bytes(medium.allocated)} on disk, is written again without zeroes and freed blocks.`
            : "Its file is written anew beside the old one, which goes when that is done."}
        </Below>
      </FormGroup>
    </FormDialog>
  );
}
