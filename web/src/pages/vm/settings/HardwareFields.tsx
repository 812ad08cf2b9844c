/** What the guest finds beside disks, displays and NICs: the model of its CPUs, keyboard and pointer, the balloon. */
import { Checkbox, FormGroup, FormSection, FormSelect, FormSelectOption, TextInput } from "@patternfly/react-core";
import type { Fields } from "./fields";
import { INPUTS } from "./modes";
import { Problem } from "./Problem";

export function HardwareFields({ draft, change, problems, disabled }: Fields) {
  return (
    <FormSection id="hardware" title="Hardware" titleElement="h2">
      <FormGroup label="CPU model" fieldId="cpu">
        <TextInput
          id="cpu"
          value={draft.cpu}
          onChange={(_event, cpu) => change({ cpu: cpu.trim() })}
          validated={problems.cpu ? "error" : "default"}
          isDisabled={disabled}
          spellCheck={false}
        />
        <Problem
          text={problems.cpu}
          help="best: what runs fastest on its host; host: all that the host has; or one of QEMU's models, such as Nehalem or EPYC."
        />
      </FormGroup>
      <FormGroup label="Keyboard and pointer" fieldId="input">
        <FormSelect
          id="input"
          value={draft.input}
          isDisabled={disabled}
          onChange={(_event, input) => change({ input: input as typeof draft.input })}
          validated={problems.input ? "error" : "default"}
        >
          {Object.entries(INPUTS).map(([value, label]) => (
            <FormSelectOption key={value} value={value} label={label} />
          ))}
        </FormSelect>
        <Problem text={problems.input} help="Of a VM with a display. A guest without drivers for virtio needs USB." />
      </FormGroup>
      <Checkbox
        id="balloon"
        label="Gives freed memory back"
        description="Memory that the guest frees goes back to the host."
        isChecked={draft.balloon}
        onChange={(_event, balloon) => change({ balloon })}
        isDisabled={disabled}
      />
    </FormSection>
  );
}
