/** The disks and ISOs. */
import {
  Button,
  Checkbox,
  FormGroup,
  FormSection,
  FormSelect,
  FormSelectOption,
  FormSelectOptionGroup,
} from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { AlterVm } from "@/api/limits";
import { type Medium, useMay } from "@/api/live";
import type { Attachment, HostRef } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { useAttachable, useReachable } from "@/ui/attachable";
import { useGroupPath } from "@/ui/groups";
import { CreateDisk } from "../../media/CreateDisk";
import { diskName } from "../../media/rules";
import { warningOf } from "../../media/warning";
import { hasList } from "./boot";
import { DiskFields } from "./DiskFields";
import { type Fields, replaced, without } from "./fields";
import { isIso, isUsedByAnother, mediumWords, sorted } from "./mediaText";
import { CACHES, MODES } from "./modes";
import { Problem } from "./Problem";

type Of = { vmid: number; gid: number; host: HostRef | undefined };

export function MediaFields({ draft, change, problems, disabled, vmid, gid, host }: Fields & Of) {
  const { media } = draft;
  const known = useAttachable(gid);
  const path = useGroupPath();
  const reachable = useReachable(known, gid, host);
  const offered = sorted(
    reachable.filter((one) => !media.some((it) => it.mid === one.mid)),
    vmid,
  );
  const may = useMay();
  const [creates, setCreates] = useState(false);
  const group = useMemo(() => ({ gid }), [gid]);
  const words = (medium: Medium) => mediumWords(medium, known, gid, vmid, path);
  const add = (mid: string) => {
    const medium = known.find((one) => one.mid === mid);
    if (!medium) return;
    const readonly = medium.readonly || isIso(medium) || isUsedByAnother(medium, vmid);
    change({ media: [...media, { mid, mode: "VIRTIO", readonly }] });
  };
  return (
    <FormSection id="media" title="Media" titleElement="h2">
      <span className="v-subtle">
        {hasList(draft) ? "Disks and ISOs. Their boot order is further down." : "Disks and ISOs."}
      </span>
      {media.map((one, index) => {
        const medium = known.find((it) => it.mid === one.mid);
        const name = medium?.name ?? one.mid;
        const field = `media[${index}]`;
        const writer = medium?.used_by.find((it) => it.writing && it.vmid !== vmid);
        const problem =
          problems[field] ??
          problems[`${field}.mid`] ??
          (writer && !one.readonly
            ? `It is attached to ${writer.name}, which may write to it, and only one VM can. Attach it read-only.`
            : undefined);
        return (
          <fieldset key={one.mid} className="v-row" aria-label={`Medium ${index + 1}: ${name}`}>
            <div className="v-row-fields">
              <div className="v-grows v-breaks">
                <bdi>{name}</bdi>
                <div className="v-subtle">{medium ? words(medium) : "not visible to you"}</div>
              </div>
              <FormGroup label="Attached as" fieldId={`mode-${index}`}>
                <FormSelect
                  id={`mode-${index}`}
                  value={one.mode}
                  onChange={(_event, mode) =>
                    change({ media: replaced(media, index, { mode: mode as Attachment["mode"] }) })
                  }
                  isDisabled={disabled}
                  validated={problems[`${field}.mode`] ? "error" : "default"}
                >
                  {Object.entries(MODES).map(([value, label]) => (
                    <FormSelectOption key={value} value={value} label={label} />
                  ))}
                </FormSelect>
                <Problem text={problems[`${field}.mode`]} />
              </FormGroup>
              <FormGroup label="Cache" fieldId={`cache-${index}`}>
                <FormSelect
                  id={`cache-${index}`}
                  value={one.cache ?? ""}
                  onChange={(_event, cache) =>
                    change({ media: replaced(media, index, { cache: (cache || undefined) as Attachment["cache"] }) })
                  }
                  isDisabled={disabled}
                >
                  {Object.entries(CACHES).map(([value, label]) => (
                    <FormSelectOption key={value} value={value} label={label} />
                  ))}
                </FormSelect>
              </FormGroup>
              <Checkbox
                id={`readonly-${index}`}
                label="Read-only"
                isChecked={(one.readonly ?? false) || medium?.readonly === true}
                isDisabled={disabled || medium?.readonly === true}
                onChange={(_event, readonly) => change({ media: replaced(media, index, { readonly }) })}
              />
              {!disabled && (
                <div>
                  <Button
                    variant="plain"
                    icon={<Icon name="trash" />}
                    aria-label={`Detach ${name}`}
                    onClick={() => change({ media: without(media, index) })}
                  />
                </div>
              )}
            </div>
            <Problem text={problem} help={medium && warningOf(medium.content)} />
            {medium && !isIso(medium) && (
              <DiskFields
                id={`disk-${index}`}
                one={one}
                at={field}
                problems={problems}
                disabled={disabled}
                onChange={(part) => change({ media: replaced(media, index, part) })}
              />
            )}
          </fieldset>
        );
      })}
      {draft.drives.map((one, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: drives of one mode are alike
        <div key={index} className="v-row v-row-fields">
          <div className="v-grows">
            CD-ROM drive
            <div className="v-subtle">{`${MODES[one.mode]}, empty`}</div>
          </div>
          {!disabled && (
            <Button
              variant="plain"
              icon={<Icon name="trash" />}
              aria-label={`Remove empty drive ${index + 1}`}
              onClick={() => change({ drives: without(draft.drives, index) })}
            />
          )}
        </div>
      ))}
      {media.length === 0 && <span className="v-subtle">None: only the firmware's shell starts.</span>}
      {!disabled && media.length < AlterVm.media.maxItems && (
        <FormGroup label="Attach a medium" fieldId="attach">
          <FormSelect
            id="attach"
            value=""
            onChange={(_event, mid) => add(mid)}
            isDisabled={offered.every(([, all]) => all.length === 0)}
          >
            <FormSelectOption
              value=""
              label={offered.every(([, all]) => all.length === 0) ? "There is no other medium" : "Choose one"}
              isPlaceholder
            />
            {offered
              .filter(([, all]) => all.length > 0)
              .map(([title, all]) => (
                <FormSelectOptionGroup key={title} label={title}>
                  {all.map((one) => (
                    <FormSelectOption key={one.mid} value={one.mid} label={`${one.name} (${words(one)})`} />
                  ))}
                </FormSelectOptionGroup>
              ))}
          </FormSelect>
        </FormGroup>
      )}
      {!disabled && media.length < AlterVm.media.maxItems && may("media.create", gid) && (
        <div>
          <Button variant="link" isInline icon={<Icon name="plus" />} onClick={() => setCreates(true)}>
            Add a new disk…
          </Button>
        </div>
      )}
      {creates && (
        <CreateDisk
          first={group}
          called={diskName(draft.name)}
          about="It is attached when the changes are saved."
          onMade={(mid) => change({ media: [...media, { mid, mode: "VIRTIO", readonly: false }] })}
          onClose={() => setCreates(false)}
        />
      )}
    </FormSection>
  );
}
