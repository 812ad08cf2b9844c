/** One of several, chosen: a filter in a toolbar, or a field of a form. The browser's own list, so it suits every device. */
import { FormSelect, FormSelectOption } from "@patternfly/react-core";

export interface Choice {
  value: string;
  label: string;
  disabled?: boolean;
}

export function Choose({
  id,
  label,
  value,
  choices,
  onChange,
  disabled,
}: {
  id?: string;
  /** Read to those who do not see it; in a form the field's label stands for it. */
  label?: string;
  value: string;
  choices: readonly Choice[];
  onChange: (value: string) => void;
  disabled?: boolean;
}) {
  return (
    <FormSelect
      id={id}
      aria-label={label}
      value={value}
      onChange={(_event, chosen) => onChange(chosen)}
      isDisabled={disabled}
    >
      {choices.map((one) => (
        <FormSelectOption key={one.value} value={one.value} label={one.label} isDisabled={one.disabled} />
      ))}
    </FormSelect>
  );
}

/** In a toolbar; `all` is the choice that filters nothing, with the value "". */
export function Filter({
  label,
  all,
  value,
  choices,
  onChange,
}: {
  label: string;
  all: string;
  value: string;
  choices: readonly Choice[];
  onChange: (value: string) => void;
}) {
  return (
    <div>
      <Choose label={label} value={value} choices={[{ value: "", label: all }, ...choices]} onChange={onChange} />
    </div>
  );
}
