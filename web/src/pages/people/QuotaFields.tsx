/** The three limits of a group, typed. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import type { Quota } from "@/api/schema";
import { MEMORY_HELP } from "@/ui/amounts";
import { Hint } from "@/ui/FormDialog";
import { amount, LIMITED, TITLES, type Typed } from "./quotas";

export function QuotaFields({
  typed,
  wrong,
  most,
  used,
  onChange,
}: {
  typed: Typed;
  wrong: Partial<Record<keyof Typed, string | undefined>>;
  /** The limits of the groups above. */
  most: Quota;
  used?: Quota;
  onChange: (typed: Typed) => void;
}) {
  return (
    <>
      {LIMITED.map((name) => (
        <FormGroup key={name} label={TITLES[name]} fieldId={`quota-${name}`}>
          <TextInput
            id={`quota-${name}`}
            value={typed[name]}
            inputMode={name === "memory_mib" ? "text" : "numeric"}
            placeholder="no limit"
            autoComplete="off"
            validated={wrong[name] ? "error" : "default"}
            aria-describedby={`quota-${name}-hint`}
            onChange={(_event, value) => onChange({ ...typed, [name]: value })}
          />
          <Hint id={`quota-${name}-hint`} wrong={wrong[name]}>
            {[
              used?.[name] !== undefined && `${amount(name, used[name])} in use.`,
              most[name] !== undefined && `At most ${amount(name, most[name])}, the limit of a group above.`,
              name === "memory_mib" && MEMORY_HELP,
            ]
              .filter(Boolean)
              .join(" ")}
          </Hint>
        </FormGroup>
      ))}
    </>
  );
}
