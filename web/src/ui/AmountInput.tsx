/** A field for a size: beside a bare number stands the unit that it is read in; a unit that is typed counts instead. */
import { TextInput, type TextInputProps } from "@patternfly/react-core";
import { isBare } from "./amounts";

export function AmountInput({
  unit,
  className = "",
  ...field
}: Omit<TextInputProps, "ref" | "value"> & { unit: "GiB" | "MiB"; value: string }) {
  return (
    <div className={`v-amount ${className}`}>
      <TextInput autoComplete="off" {...field} />
      {isBare(field.value) && <span aria-hidden="true">{unit}</span>}
    </div>
  );
}
