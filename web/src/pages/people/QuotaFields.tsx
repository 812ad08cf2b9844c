/** The three limits of a group, typed. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import type { Quota } from "@/api/schema";
import { AmountInput } from "@/ui/AmountInput";
import { MEMORY_HELP } from "@/ui/amounts";
import { Hint } from "@/ui/FormDialog";
import { amount, LIMITED, type Limited, TITLES, type Typed } from "./quotas";

/** The same rule for all: what is empty limits nothing, and 0 is a limit. */
const EMPTY_HELP: Record<Limited, string> = {
  cpus: "Empty: no limit. 0: no CPU.",
  memory_mib: "Empty: no limit. 0: no memory.",
  vms: "Empty: no limit. 0: no VM.",
};

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
  const fieldOf = (name: Limited) => ({
    id: `quota-${name}`,
    value: typed[name],
    placeholder: "no limit",
    validated: wrong[name] ? ("error" as const) : ("default" as const),
    "aria-describedby": `quota-${name}-hint`,
    onChange: (_event: unknown, value: string) => onChange({ ...typed, [name]: value }),
  });
  return (
    <>
      {LIMITED.map((name) => (
        <FormGroup key={name} label={TITLES[name]} fieldId={`quota-${name}`}>
          {name === "memory_mib" ? (
            <AmountInput {...fieldOf(name)} unit="MiB" />
          ) : (
            <TextInput {...fieldOf(name)} inputMode="numeric" autoComplete="off" />
          )}
          <Hint id={`quota-${name}-hint`} wrong={wrong[name]}>
            {[
              used?.[name] !== undefined && `${amount(name, used[name])} in use.`,
              most[name] !== undefined && `At most ${amount(name, most[name])}, the limit of a group above.`,
              EMPTY_HELP[name],
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
