/** What is seldom set of a disk: sectors, zeroes, and how much the guest may do with it each second. */
import {
  Checkbox,
  ExpandableSection,
  FormGroup,
  FormSelect,
  FormSelectOption,
  TextInput,
} from "@patternfly/react-core";
import type { Attachment } from "@/api/schema";
import { Problem } from "./Problem";

type Limits = NonNullable<Attachment["limits"]>;

const MIB = 2 ** 20;
const LIMITS = [
  ["iops", "Operations/s", 1],
  ["read_iops", "of reads", 1],
  ["write_iops", "of writes", 1],
  ["bytes", "MiB/s", MIB],
  ["read_bytes", "of reads", MIB],
  ["write_bytes", "of writes", MIB],
] as const satisfies readonly (readonly [keyof Limits, string, number])[];

export function DiskFields({
  id,
  one,
  at,
  problems,
  disabled,
  onChange,
}: {
  /** Of its fields in the document. */
  id: string;
  one: Attachment;
  /** Its name in a refusal: `media[0]`. */
  at: string;
  problems: Record<string, string>;
  disabled: boolean;
  onChange: (part: Partial<Attachment>) => void;
}) {
  const limit = (name: keyof Limits, value: number) => {
    const { [name]: _before, ...others } = one.limits ?? {};
    onChange({ limits: Number.isNaN(value) ? others : { ...others, [name]: Math.round(value) } });
  };
  const wrong = Object.keys(problems).some((field) => field.startsWith(`${at}.`));
  return (
    <ExpandableSection toggleText="Sectors, zeroes and limits" isIndented {...(wrong ? { isExpanded: true } : {})}>
      <FormGroup label="Sector size" fieldId={`${id}-sector_size`}>
        <FormSelect
          id={`${id}-sector_size`}
          value={one.sector_size ?? ""}
          isDisabled={disabled}
          onChange={(_event, size) =>
            onChange({ sector_size: size ? (Number(size) as Attachment["sector_size"]) : undefined })
          }
        >
          <FormSelectOption value="" label="As it has" />
          <FormSelectOption value={512} label="512 bytes" />
          <FormSelectOption value={4096} label="4,096 bytes" />
        </FormSelect>
        <Problem text={problems[`${at}.sector_size`]} />
      </FormGroup>
      <div className="v-limits">
        {LIMITS.map(([name, title, unit]) => (
          <FormGroup key={name} label={title} fieldId={`${id}-${name}`}>
            <TextInput
              id={`${id}-${name}`}
              type="number"
              step="any"
              placeholder="no limit"
              value={one.limits?.[name] === undefined ? "" : one.limits[name] / unit}
              onChange={(event) => limit(name, event.currentTarget.valueAsNumber * unit)}
              validated={problems[`${at}.limits.${name}`] ? "error" : "default"}
              isDisabled={disabled}
            />
            <Problem text={problems[`${at}.limits.${name}`]} />
          </FormGroup>
        ))}
      </div>
      <Checkbox
        className="v-space-above"
        id={`${id}-detect_zeroes`}
        label="Zeros that are written give space back"
        isChecked={one.detect_zeroes ?? false}
        isDisabled={disabled}
        onChange={(_event, detect_zeroes) => onChange({ detect_zeroes })}
      />
    </ExpandableSection>
  );
}
