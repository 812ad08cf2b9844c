/** What a group gets of a pool: its quota there, and whether it may write and make media. */
import { Checkbox, FormGroup } from "@patternfly/react-core";
import type { PoolInfo } from "@/api/schema";
import { AmountInput } from "@/ui/AmountInput";
import { DISK_HELP, diskBytes } from "@/ui/amounts";
import { Hint } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";

export interface Share {
  quota: string;
  write: boolean;
  manage: boolean;
}

/** Bytes; nothing is no limit, which the server calls 0: what is typed as 0 would be the opposite of what it says. */
export function quotaOf(text: string, most: number): { value: number } | { wrong: string } {
  if (text.trim() === "") return { value: 0 };
  const value = diskBytes(text);
  if (value === 0) return { wrong: "Enter a size, or nothing for no limit. To allow no media, clear “Manage”." };
  if (value === undefined) return { wrong: `${DISK_HELP} Nothing: no limit.` };
  return most > 0 && value > most ? { wrong: `At most ${bytes(most)}, the quota of the group above.` } : { value };
}

export function PoolFields({
  share,
  above,
  wrong,
  onChange,
}: {
  share: Share;
  /** What the parent has of it; absent: unknown to the caller. */
  above: Pick<PoolInfo, "write" | "manage" | "quota"> | undefined;
  wrong: string | undefined;
  onChange: (share: Share) => void;
}) {
  return (
    <>
      <FormGroup label="Quota in the pool" fieldId="pool-quota">
        <AmountInput
          id="pool-quota"
          unit="GiB"
          value={share.quota}
          placeholder="no limit"
          validated={wrong ? "error" : "default"}
          aria-describedby="pool-quota-hint"
          onChange={(_event, quota) => onChange({ ...share, quota })}
        />
        <Hint id="pool-quota-hint" wrong={wrong}>
          The sizes of its media and those of its subgroups count. Empty: no limit. {DISK_HELP}
          {above && above.quota > 0 && ` At most ${bytes(above.quota)}.`}
        </Hint>
      </FormGroup>
      <FormGroup role="group" label="The group may" fieldId="pool-rights">
        <Checkbox
          id="pool-write"
          label="Write"
          description={
            above && !above.write
              ? "The group above may not do this, so it cannot be passed on."
              : "Its VMs may write to media."
          }
          isChecked={share.write}
          isDisabled={above !== undefined && !above.write && !share.write}
          onChange={(_event, write) => onChange({ ...share, write })}
        />
        <Checkbox
          id="pool-manage"
          label="Manage"
          description={
            above && !above.manage
              ? "The group above may not do this, so it cannot be passed on."
              : "It may create, upload and import media."
          }
          isChecked={share.manage}
          isDisabled={above !== undefined && !above.manage && !share.manage}
          onChange={(_event, manage) => onChange({ ...share, manage })}
        />
      </FormGroup>
    </>
  );
}
