/** One more disk or ISO for a VM, also while it runs. */
import { FormGroup, FormSelect, FormSelectOption, FormSelectOptionGroup } from "@patternfly/react-core";
import { useState } from "react";
import type { VmInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { useAttachable, useReachable } from "@/ui/attachable";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { vmCli } from "@/ui/vmCli";
import { mediumWords, sorted } from "../settings/mediaText";
import { AttachedAs, useAttachment } from "./AttachedAs";
import { changing } from "./changing";
import { attached, attachedWhen } from "./drives";

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
  const medium = reachable.find((one) => one.mid === mid);
  const attachment = useAttachment(medium, info.vmid);
  const change = attached(info, attachment.one);
  const { do: request, ...told } = changing(info, change, {
    pending: `Attaching ${medium?.name} to ${info.name}`,
    done: `${medium?.name} attached`,
  });
  return (
    <FormDialog
      title={`Attach a disk or an ISO to ${info.name}`}
      about={attachedWhen(info, attachment.one.mode)}
      verb="Attach"
      ready={medium !== undefined}
      refusal={refused.last}
      cli={vmCli(info, "attach", attachment.word)}
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
      <AttachedAs {...attachment} />
    </FormDialog>
  );
}
