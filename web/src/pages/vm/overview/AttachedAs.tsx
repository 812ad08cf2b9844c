/** How a medium is attached: its bus, and whether the guest may write to it. */
import { Checkbox, FormGroup } from "@patternfly/react-core";
import { useState } from "react";
import type { Medium } from "@/api/live";
import type { Attachment } from "@/api/schema";
import { Choose } from "@/ui/Choose";
import { Hint } from "@/ui/FormDialog";
import { idWord } from "@/ui/vmCli";
import { isIso, isUsedByAnother } from "../settings/mediaText";
import { MODES } from "../settings/modes";

/** The attachment as it is chosen; `word` is how the command line writes it. */
export function useAttachment(medium: Medium | undefined, vmid: number) {
  const [mode, setMode] = useState<Attachment["mode"]>("VIRTIO");
  const [wished, setWished] = useState(false);
  const must = medium !== undefined && (medium.readonly || isIso(medium) || isUsedByAnother(medium, vmid));
  const readonly = must || wished;
  const one: Attachment = { mid: medium?.mid ?? "MID", mode, readonly };
  const word = [idWord(one.mid), mode.toLowerCase(), ...(readonly ? ["ro"] : [])].join(":");
  return { one, word, must, setMode, setReadonly: setWished };
}

export function AttachedAs({ one, must, setMode, setReadonly }: ReturnType<typeof useAttachment>) {
  return (
    <>
      <FormGroup label="Attached as" fieldId="attached-as">
        <Choose
          id="attached-as"
          value={one.mode}
          choices={Object.entries(MODES).map(([value, label]) => ({ value, label }))}
          onChange={(chosen) => setMode(chosen as Attachment["mode"])}
        />
        <Hint>
          {one.mode === "BLOCK"
            ? "Once the VM was started with it, it is not detached while the VM runs."
            : "It can be detached while the VM runs."}
        </Hint>
      </FormGroup>
      <Checkbox
        id="attached-readonly"
        label="Read-only"
        isChecked={one.readonly ?? false}
        isDisabled={must}
        onChange={(_event, on) => setReadonly(on)}
      />
    </>
  );
}
