/** Name, CPUs, memory, what is switched on or off, and notes. */
import { Checkbox, FormGroup, FormSection, NumberInput, TextArea, TextInput } from "@patternfly/react-core";
import { AmountInput } from "@/ui/AmountInput";
import { MEMORY_HELP } from "@/ui/amounts";
import type { Fields } from "./fields";
import { Problem } from "./Problem";
import type { Room } from "./useRoom";

/** `rosetta`: it may be of use on the VM's host, or was asked for. `several`: there is more than one host. */
export function GeneralFields({
  draft,
  change,
  problems,
  disabled,
  left,
  rosetta,
  several,
}: Fields & { left: Room["left"]; rosetta: boolean; several: boolean }) {
  return (
    <FormSection id="general" title="General" titleElement="h2">
      <FormGroup label="Name" fieldId="name" isRequired>
        <TextInput
          id="name"
          value={draft.name}
          onChange={(_event, name) => change({ name })}
          validated={problems.name ? "error" : "default"}
          isDisabled={disabled}
        />
        <Problem text={problems.name} />
      </FormGroup>
      <div className="v-pair">
        <FormGroup label="CPUs" fieldId="cpus" isRequired>
          <NumberInput
            inputProps={{ id: "cpus" }}
            inputAriaLabel="CPUs"
            minusBtnAriaLabel="One CPU less"
            plusBtnAriaLabel="One CPU more"
            value={Number.isNaN(draft.cpus) ? "" : draft.cpus}
            min={1}
            onMinus={() => change({ cpus: draft.cpus - 1 })}
            onPlus={() => change({ cpus: (draft.cpus || 0) + 1 })}
            onChange={(event) => change({ cpus: event.currentTarget.valueAsNumber })}
            validated={problems.cpus ? "error" : "default"}
            isDisabled={disabled}
            widthChars={4}
          />
          <Problem text={problems.cpus} help={left.cpus} />
        </FormGroup>
        <FormGroup label="Maximum CPUs" fieldId="max_cpus">
          <NumberInput
            inputProps={{ id: "max_cpus" }}
            inputAriaLabel="Maximum CPUs"
            minusBtnAriaLabel="Maximum: one CPU less"
            plusBtnAriaLabel="Maximum: one CPU more"
            value={draft.max_cpus || ""}
            min={0}
            onMinus={() => change({ max_cpus: draft.max_cpus - 1 })}
            onPlus={() => change({ max_cpus: (draft.max_cpus || draft.cpus) + 1 })}
            onChange={(event) => change({ max_cpus: event.currentTarget.valueAsNumber || 0 })}
            validated={problems.max_cpus ? "error" : "default"}
            isDisabled={disabled}
            widthChars={4}
          />
          <Problem text={problems.max_cpus} help="How many it can have without a restart. Empty: as now." />
        </FormGroup>
      </div>
      <div className="v-pair">
        <FormGroup label="Memory" fieldId="memory" isRequired>
          <AmountInput
            id="memory"
            unit="MiB"
            value={draft.memory}
            onChange={(_event, memory) => change({ memory })}
            validated={problems.memory_mib ? "error" : "default"}
            isDisabled={disabled}
            className="v-memory"
          />
          <Problem text={problems.memory_mib} help={[left.memory, MEMORY_HELP].filter(Boolean).join(" ")} />
        </FormGroup>
        <FormGroup label="Maximum memory" fieldId="max_memory">
          <AmountInput
            id="max_memory"
            unit="MiB"
            value={draft.maxMemory}
            placeholder="as now"
            onChange={(_event, maxMemory) => change({ maxMemory })}
            validated={problems.max_memory_mib ? "error" : "default"}
            isDisabled={disabled}
            className="v-memory"
          />
          <Problem text={problems.max_memory_mib} help="How much it can have without a restart. Empty: as now." />
        </FormGroup>
      </div>
      <Checkbox
        id="autostart"
        label="Start when the server starts"
        description="At each start of the server, also if a user has stopped it."
        isChecked={draft.autostart}
        onChange={(_event, autostart) => change({ autostart })}
        isDisabled={disabled}
      />
      <Checkbox
        id="ha"
        label="Restart after a failure"
        description="If its process or its host fails. It starts on another host only after its own is confirmed dead."
        isChecked={draft.ha === "restart"}
        onChange={(_event, on) => change({ ha: on ? "restart" : "off" })}
        isDisabled={disabled}
      />
      <FormGroup label="Start order" fieldId="start_order">
        <NumberInput
          inputProps={{ id: "start_order" }}
          inputAriaLabel="Start order"
          minusBtnAriaLabel="One place earlier"
          plusBtnAriaLabel="One place later"
          value={draft.start_order || ""}
          min={0}
          onMinus={() => change({ start_order: draft.start_order - 1 })}
          onPlus={() => change({ start_order: (draft.start_order || 0) + 1 })}
          onChange={(event) => change({ start_order: event.currentTarget.valueAsNumber || 0 })}
          validated={problems.start_order ? "error" : "default"}
          isDisabled={disabled}
          widthChars={4}
        />
        <Problem
          text={problems.start_order}
          help="Among the VMs that the server starts by itself: 1 is first. Empty: after those with a number."
        />
      </FormGroup>
      {rosetta && (
        <Checkbox
          id="rosetta"
          label="Rosetta"
          description="Translation of x86 programs in the guest, on hosts that support it; ignored elsewhere."
          isChecked={draft.rosetta}
          onChange={(_event, on) => change({ rosetta: on })}
          isDisabled={disabled}
        />
      )}
      {several && (
        <FormGroup label="Spread" fieldId="spread">
          <TextInput
            id="spread"
            value={draft.spread}
            onChange={(_event, spread) => change({ spread: spread.trim() })}
            validated={problems.spread ? "error" : "default"}
            isDisabled={disabled}
          />
          <Problem
            text={problems.spread}
            help="VMs of the group with the same word are placed on different hosts where possible."
          />
        </FormGroup>
      )}
      {several && (
        <FormGroup label="Together" fieldId="together">
          <TextInput
            id="together"
            value={draft.together}
            onChange={(_event, together) => change({ together: together.trim() })}
            validated={problems.together ? "error" : "default"}
            isDisabled={disabled}
          />
          <Problem
            text={problems.together}
            help="VMs of the group with the same word are placed on the same host where possible."
          />
        </FormGroup>
      )}
      {several && (
        <FormGroup label="Host labels" fieldId="host_labels">
          <TextInput
            id="host_labels"
            value={draft.host_labels.join(", ")}
            onChange={(_event, text) => change({ host_labels: text ? text.split(/[\s,]+/) : [] })}
            onBlur={() => change({ host_labels: draft.host_labels.filter(Boolean) })}
            validated={problems.host_labels ? "error" : "default"}
            isDisabled={disabled}
          />
          <Problem
            text={problems.host_labels}
            help="For example disk=ssd, gpu: it is placed only on a host that has them."
          />
        </FormGroup>
      )}
      <FormGroup label="Notes" fieldId="notes">
        <TextArea
          id="notes"
          value={draft.notes}
          onChange={(_event, notes) => change({ notes })}
          validated={problems.notes ? "error" : "default"}
          isDisabled={disabled}
          autoResize
          resizeOrientation="vertical"
        />
        <Problem text={problems.notes} />
      </FormGroup>
    </FormSection>
  );
}
