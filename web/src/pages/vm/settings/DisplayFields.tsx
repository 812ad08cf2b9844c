/** The displays: a virtio GPU each, with its preferred mode. */
import { Button, ExpandableSection, FormGroup, FormSection, TextInput } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { AlterVm } from "@/api/limits";
import { Icon } from "@/look/Icon";
import { type Fields, replaced, without } from "./fields";
import { Problem } from "./Problem";

const SIZES = [
  ["width", "Width"],
  ["height", "Height"],
] as const;
const PPI = 96;

export function DisplayFields({ draft, change, problems, disabled }: Fields) {
  const { displays } = draft;
  const add = () => {
    let number = displays.length;
    while (displays.some((one) => one.name === `display${number}`)) number += 1;
    change({ displays: [...displays, { name: `display${number}`, width: 1280, height: 720, ppi: PPI }] });
  };
  return (
    <FormSection id="displays" title="Displays" titleElement="h2">
      <span className="v-subtle">{`A virtio GPU each. At most ${AlterVm.displays.maxItems}.`}</span>
      {displays.map((display, index) => {
        const field = `displays[${index}]`;
        const id = `display-${index}`;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a display has no identity but its place
          <fieldset key={index} className="v-row" aria-label={`Display ${index + 1}`}>
            <div className="v-row-fields">
              <FormGroup label="Name" fieldId={`${id}-name`} className="v-grows">
                <TextInput
                  id={`${id}-name`}
                  value={display.name}
                  onChange={(_event, name) => change({ displays: replaced(displays, index, { name }) })}
                  validated={problems[`${field}.name`] ? "error" : "default"}
                  isDisabled={disabled}
                />
                <Problem text={problems[`${field}.name`]} />
              </FormGroup>
              {SIZES.map(([side, title]) => (
                <Pixels
                  key={side}
                  id={`${id}-${side}`}
                  label={title}
                  value={display[side]}
                  problem={problems[`${field}.${side}`]}
                  disabled={disabled}
                  onChange={(value) => change({ displays: replaced(displays, index, { [side]: value }) })}
                />
              ))}
              {!disabled && (
                <Button
                  variant="plain"
                  icon={<Icon name="trash" />}
                  aria-label={`Remove display ${display.name}`}
                  onClick={() => change({ displays: without(displays, index) })}
                />
              )}
            </div>
            <Density wrong={problems[`${field}.ppi`] !== undefined}>
              <Pixels
                id={`${id}-ppi`}
                label="Pixels per inch"
                value={display.ppi ?? PPI}
                problem={problems[`${field}.ppi`]}
                disabled={disabled}
                onChange={(ppi) => change({ displays: replaced(displays, index, { ppi }) })}
              />
            </Density>
          </fieldset>
        );
      })}
      {displays.length === 0 && <span className="v-subtle">None: it has only the serial console.</span>}
      {!disabled && displays.length < AlterVm.displays.maxItems && (
        <div>
          <Button variant="link" isInline icon={<Icon name="plus" />} onClick={add}>
            Add a display
          </Button>
        </div>
      )}
    </FormSection>
  );
}

/** Few want another one; a guest may draw larger by it. */
function Density({ wrong, children }: { wrong: boolean; children: ReactNode }) {
  const [open, setOpen] = useState(false);
  return (
    <ExpandableSection
      toggleText="Pixel density"
      isIndented
      isExpanded={open || wrong}
      onToggle={(_event, open) => setOpen(open)}
    >
      {(open || wrong) && children}
    </ExpandableSection>
  );
}

interface PixelsProps {
  id: string;
  label: string;
  value: number;
  problem: string | undefined;
  disabled: boolean;
  onChange: (value: number) => void;
}

function Pixels({ id, label, value, problem, disabled, onChange }: PixelsProps) {
  return (
    <FormGroup label={label} fieldId={id} className="v-short">
      <TextInput
        id={id}
        type="number"
        value={Number.isNaN(value) ? "" : value}
        onChange={(event) => onChange(event.currentTarget.valueAsNumber)}
        validated={problem ? "error" : "default"}
        isDisabled={disabled}
      />
      <Problem text={problem} />
    </FormGroup>
  );
}
