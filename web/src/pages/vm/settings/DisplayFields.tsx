/** The displays: a virtio GPU each, with its preferred mode. */
import { Button, FormGroup, FormSection, TextInput } from "@patternfly/react-core";
import { AlterVm } from "@/api/limits";
import { Icon } from "@/look/Icon";
import { type Fields, replaced, without } from "./fields";
import { Problem } from "./Problem";

const NUMBERS = [
  ["width", "Width"],
  ["height", "Height"],
  ["ppi", "PPI"],
] as const;

export function DisplayFields({ draft, change, problems, disabled }: Fields) {
  const { displays } = draft;
  const add = () => {
    let number = displays.length;
    while (displays.some((one) => one.name === `display${number}`)) number += 1;
    change({ displays: [...displays, { name: `display${number}`, width: 1280, height: 720, ppi: 96 }] });
  };
  return (
    <FormSection id="displays" title="Displays" titleElement="h2">
      <span className="v-subtle">{`A virtio GPU each. At most ${AlterVm.displays.maxItems}.`}</span>
      {displays.map((display, index) => {
        const field = `displays[${index}]`;
        const id = `display-${index}`;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a display has no identity but its place
          <fieldset key={index} className="v-row v-row-fields" aria-label={`Display ${index + 1}`}>
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
            {NUMBERS.map(([side, title]) => (
              <FormGroup key={side} label={title} fieldId={`${id}-${side}`} className="v-short">
                <TextInput
                  id={`${id}-${side}`}
                  type="number"
                  value={Number.isNaN(display[side]) ? "" : (display[side] ?? 96)}
                  onChange={(event) =>
                    change({ displays: replaced(displays, index, { [side]: event.currentTarget.valueAsNumber }) })
                  }
                  validated={problems[`${field}.${side}`] ? "error" : "default"}
                  isDisabled={disabled}
                />
                <Problem text={problems[`${field}.${side}`]} />
              </FormGroup>
            ))}
            {!disabled && (
              <Button
                variant="plain"
                icon={<Icon name="trash" />}
                aria-label={`Remove display ${display.name}`}
                onClick={() => change({ displays: without(displays, index) })}
              />
            )}
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
