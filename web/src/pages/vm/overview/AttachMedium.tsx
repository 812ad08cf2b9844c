/** One more disk or ISO for a VM, also while it runs. */
import { Checkbox, FormGroup, FormSelect, FormSelectOption, FormSelectOptionGroup } from "@patternfly/react-core";
import { useState } from "react";
import type { Attachment, VmInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { useAttachable, useReachable } from "@/ui/attachable";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { idWord, vmCli } from "@/ui/vmCli";
import { isIso, isUsedByAnother, mediumWords, sorted } from "../settings/mediaText";
import { MODES } from "../settings/modes";
import { changing } from "./changing";
import { attached } from "./drives";

const FIELDS = ["media"];

export function AttachMedium({ info, onClose }: { info: VmInfo; onClose: () => void }) {
  const known = useAttachable(info.gid);
  const path = useGroupPath();
  const act = useAction();
  const refused = useRefusal(FIELDS);
  const reachable = useReachable(known, info.gid, info.host);
  const offered = sorted(
    reachable.filter((one) => !info.media.some((it) => it.mid === one.mid)),
    info.vmid,
  ).filter(([, all]) => all.length > 0);
  const [mid, setMid] = useState("");
  const [mode, setMode] = useState<Attachment["mode"]>("VIRTIO");
  const [wished, setWished] = useState<boolean>();
  const medium = reachable.find((one) => one.mid === mid);
  const must = medium !== undefined && (medium.readonly || isIso(medium) || isUsedByAnother(medium, info.vmid));
  const readonly = must || (wished ?? false);
  const change = attached(info, { mid: mid || "MID", mode, readonly });
  const { do: request, ...told } = changing(info, change, {
    pending: `Attaching ${medium?.name} to ${info.name}`,
    done: `${medium?.name} is attached`,
  });
  const word = [idWord(mid || "MID"), mode.toLowerCase(), ...(readonly ? ["ro"] : [])].join(":");
  return (
    <FormDialog
      title={`Attach a disk or an ISO to ${info.name}`}
      verb="Attach"
      ready={medium !== undefined}
      refusal={refused.last}
      cli={vmCli(info, "attach", word)}
      request={{ method: "patch", path: "/v/vm", body: { vmid: info.vmid, ...change } }}
      onSubmit={() => act({ ...told, do: () => refused.during(request) })}
      onClose={onClose}
    >
      <FormGroup label="Disk or ISO" fieldId="attached" isRequired>
        <FormSelect
          id="attached"
          value={mid}
          isDisabled={offered.length === 0}
          validated={refused.at("media") ? "error" : "default"}
          onChange={(_event, chosen) => setMid(chosen)}
        >
          <FormSelectOption
            value=""
            label={offered.length > 0 ? "Choose one" : "There is no other one"}
            isPlaceholder
            isDisabled
          />
          {offered.map(([title, all]) => (
            <FormSelectOptionGroup key={title} label={title}>
              {all.map((one) => (
                <FormSelectOption
                  key={one.mid}
                  value={one.mid}
                  label={`${one.name} (${mediumWords(one, known, info.gid, info.vmid, path)})`}
                />
              ))}
            </FormSelectOptionGroup>
          ))}
        </FormSelect>
        <Hint wrong={refused.at("media")} />
      </FormGroup>
      <FormGroup label="Attached as" fieldId="attached-as">
        <Choose
          id="attached-as"
          value={mode}
          choices={Object.entries(MODES).map(([value, label]) => ({ value, label }))}
          onChange={(chosen) => setMode(chosen as Attachment["mode"])}
        />
      </FormGroup>
      <Checkbox
        id="attached-readonly"
        label="Read-only"
        isChecked={readonly}
        isDisabled={must}
        onChange={(_event, on) => setWished(on)}
      />
    </FormDialog>
  );
}
