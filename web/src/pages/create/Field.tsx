/** A field with what is wrong with it below, or else what is worth knowing. */
import {
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextInput,
  type TextInputProps,
} from "@patternfly/react-core";
import type { ReactNode } from "react";
import { AmountInput } from "@/ui/AmountInput";

export function Field({
  id,
  label,
  problem,
  hint,
  warning,
  children,
}: {
  id: string;
  label: string;
  problem?: string;
  hint?: ReactNode;
  /** What is allowed, and worth a second look. */
  warning?: string;
  children: ReactNode;
}) {
  return (
    <FormGroup label={label} fieldId={id} className="v-create-field">
      {children}
      <FormHelperText>
        <HelperText isLiveRegion id={`${id}-below`}>
          {problem ? <HelperTextItem variant="error">{problem}</HelperTextItem> : null}
          {!problem && warning ? <HelperTextItem variant="warning">{warning}</HelperTextItem> : null}
          {!problem && hint ? <HelperTextItem>{hint}</HelperTextItem> : null}
        </HelperText>
      </FormHelperText>
    </FormGroup>
  );
}

export function TextField({
  id,
  label,
  value,
  problem,
  hint,
  warning,
  disabled,
  numeric,
  placeholder,
  unit,
  onChange,
}: {
  id: string;
  label: string;
  value: string;
  problem?: string;
  hint?: ReactNode;
  /** What is allowed, and worth a second look. */
  warning?: string;
  disabled?: boolean;
  numeric?: boolean;
  placeholder?: string;
  /** Of a size, where none is typed. */
  unit?: "GiB" | "MiB";
  onChange: (value: string) => void;
}) {
  const field: Omit<TextInputProps, "ref" | "value"> = {
    id,
    placeholder,
    isDisabled: disabled,
    inputMode: numeric ? "numeric" : undefined,
    validated: problem ? "error" : "default",
    "aria-describedby": `${id}-below`,
    onChange: (_event, text) => onChange(text),
    autoComplete: "off",
  };
  return (
    <Field id={id} label={label} problem={problem} hint={hint} warning={warning}>
      {unit ? <AmountInput {...field} value={value} unit={unit} /> : <TextInput {...field} value={value} />}
    </Field>
  );
}
