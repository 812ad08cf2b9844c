/** One file that is to be uploaded: its name, its type, and whether guests may write to it. */
import { Button, Checkbox, Flex, FlexItem, FormGroup, TextInput } from "@patternfly/react-core";
import { TimesIcon } from "@patternfly/react-icons";
import { bytes } from "@/ui/format";
import type { Chosen, Problems } from "./naming";
import { Below } from "./TargetFields";

const TYPES = "medium-types";

export function OneFile({
  one,
  name,
  problem,
  onChange,
  onRemove,
}: {
  one: Chosen;
  name: string;
  problem: Problems;
  onChange: (what: Partial<Chosen>) => void;
  onRemove?: () => void;
}) {
  const id = `file-${one.id}`;
  return (
    <section aria-label={one.file.name} className="v-file">
      <Flex justifyContent={{ default: "justifyContentSpaceBetween" }} flexWrap={{ default: "nowrap" }}>
        <FlexItem className="v-words">
          {one.file.name} <span className="v-subtle">{bytes(one.file.size)}</span>
          <Below problem={problem.file} />
        </FlexItem>
        {onRemove && (
          <Button
            variant="plain"
            icon={<TimesIcon />}
            onClick={onRemove}
            aria-label={`Do not upload ${one.file.name}`}
          />
        )}
      </Flex>
      <FormGroup label="Name" fieldId={`${id}-name`} isRequired>
        <TextInput
          id={`${id}-name`}
          value={name}
          onChange={(_event, value) => onChange({ name: value })}
          validated={problem.name ? "error" : "default"}
          isRequired
        />
        <Below problem={problem.name} />
      </FormGroup>
      <FormGroup label="Type" fieldId={`${id}-type`} isRequired>
        <TextInput
          id={`${id}-type`}
          list={TYPES}
          value={one.type}
          onChange={(_event, type) => onChange({ type })}
          validated={problem.type ? "error" : "default"}
          isRequired
        />
        <datalist id={TYPES}>
          <option value="ISO" />
          <option value="DISK" />
          <option value="IPSW" />
        </datalist>
        <Below problem={problem.type}>
          {one.type.toUpperCase() === "ISO" ? "A CD-ROM: guests cannot write to it" : "A disk, or any other word"}
        </Below>
      </FormGroup>
      <Checkbox
        id={`${id}-readonly`}
        label="Permanently read-only, for all VMs"
        isChecked={one.readonly}
        onChange={(_event, readonly) => onChange({ readonly })}
      />
    </section>
  );
}
