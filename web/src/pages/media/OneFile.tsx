/** One file that is to be uploaded: its name, its type, and whether guests may write to it. */
import { Button, Checkbox, Flex, FlexItem, FormGroup, TextInput } from "@patternfly/react-core";
import { Icon } from "@/look/Icon";
import { bytes } from "@/ui/format";
import type { Chosen, Problems } from "./naming";
import { Below } from "./TargetFields";
import { TypeField } from "./TypeField";

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
          <bdi>{one.file.name}</bdi> <span className="v-subtle">{bytes(one.file.size)}</span>
          <Below problem={problem.file} />
        </FlexItem>
        {onRemove && (
          <Button
            variant="plain"
            icon={<Icon name="close" />}
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
      <TypeField id={`${id}-type`} type={one.type} problem={problem.type} onChange={(type) => onChange({ type })} />
      <Checkbox
        id={`${id}-readonly`}
        label="Permanently read-only, for all VMs"
        isChecked={one.readonly}
        onChange={(_event, readonly) => onChange({ readonly })}
      />
    </section>
  );
}
