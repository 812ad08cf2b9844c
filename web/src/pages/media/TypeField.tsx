/** What a medium is: one of the types that are known, or a word of one's own. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import { Choose } from "@/ui/Choose";
import { Below } from "./TargetFields";

const OTHER = "other";
const TYPES = [
  { value: "ISO", label: "ISO: a CD-ROM to install from" },
  { value: "DISK", label: "Disk" },
  { value: "IPSW", label: "IPSW: a restore image of macOS" },
  { value: OTHER, label: "Another type" },
];

interface Props {
  id: string;
  type: string;
  problem: string | undefined;
  onChange: (type: string) => void;
}

export function TypeField({ id, type, problem, onChange }: Props) {
  const known = type.toUpperCase();
  const isKnown = TYPES.some((one) => one.value === known);
  return (
    <FormGroup label="Type" fieldId={id} isRequired>
      <Choose
        id={id}
        value={isKnown ? known : OTHER}
        choices={TYPES}
        onChange={(chosen) => onChange(chosen === OTHER ? "" : chosen)}
      />
      {!isKnown && (
        <TextInput
          aria-label="Type, as one word"
          value={type}
          onChange={(_event, typed) => onChange(typed)}
          validated={problem ? "error" : "default"}
          isRequired
        />
      )}
      <Below problem={problem}>{known === "ISO" ? "Guests cannot write to it." : undefined}</Below>
    </FormGroup>
  );
}
