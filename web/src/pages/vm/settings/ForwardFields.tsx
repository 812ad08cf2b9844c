/** Port forwards: the ports of the host that lead to the VM's first NAT NIC. */
import { Button, FormGroup, FormSection, FormSelect, FormSelectOption, TextInput } from "@patternfly/react-core";
import { AlterVm } from "@/api/limits";
import type { Forward } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { type Fields, replaced, without } from "./fields";
import { Problem } from "./Problem";

const PORTS = [
  ["host_port", "Host port"],
  ["guest_port", "Guest port"],
] as const;

export function ForwardFields({ draft, change, problems, disabled }: Fields) {
  const { forwards } = draft;
  const set = (index: number, part: Partial<Forward>) => change({ forwards: replaced(forwards, index, part) });
  return (
    <FormSection id="forwards" title="Port forwards" titleElement="h2">
      <span className="v-subtle">
        Connections to a port of the host go to a port of the guest, on its first NAT NIC.
      </span>
      {forwards.map((forward, index) => {
        const field = `forwards[${index}]`;
        const id = `forward-${index}`;
        return (
          // biome-ignore lint/suspicious/noArrayIndexKey: a forward has no identity but its place
          <fieldset key={index} className="v-row v-row-fields" aria-label={`Forward ${index + 1}`}>
            {PORTS.map(([side, title]) => (
              <FormGroup key={side} label={title} fieldId={`${id}-${side}`} className="v-short">
                <TextInput
                  id={`${id}-${side}`}
                  type="number"
                  value={Number.isNaN(forward[side]) ? "" : forward[side]}
                  onChange={(event) => set(index, { [side]: event.currentTarget.valueAsNumber })}
                  validated={problems[`${field}.${side}`] ? "error" : "default"}
                  isDisabled={disabled}
                />
                <Problem text={problems[`${field}.${side}`]} />
              </FormGroup>
            ))}
            <FormGroup label="Protocol" fieldId={`${id}-protocol`}>
              <FormSelect
                id={`${id}-protocol`}
                value={forward.protocol ?? "tcp"}
                isDisabled={disabled}
                onChange={(_event, protocol) => set(index, { protocol: protocol as "tcp" | "udp" })}
              >
                <FormSelectOption value="tcp" label="TCP" />
                <FormSelectOption value="udp" label="UDP" />
              </FormSelect>
            </FormGroup>
            <FormGroup label="Host address" fieldId={`${id}-host_address`} className="v-grows">
              <TextInput
                id={`${id}-host_address`}
                value={forward.host_address ?? ""}
                placeholder="all addresses"
                onChange={(_event, address) => set(index, { host_address: address.trim() || undefined })}
                validated={problems[`${field}.host_address`] ? "error" : "default"}
                isDisabled={disabled}
              />
              <Problem text={problems[`${field}.host_address`]} />
            </FormGroup>
            {!disabled && (
              <Button
                variant="plain"
                icon={<Icon name="trash" />}
                aria-label={`Remove forward ${index + 1}`}
                onClick={() => change({ forwards: without(forwards, index) })}
              />
            )}
          </fieldset>
        );
      })}
      <Problem text={problems.forwards} />
      {forwards.length === 0 && <span className="v-subtle">None.</span>}
      {!disabled && forwards.length < AlterVm.forwards.maxItems && (
        <div>
          <Button
            variant="link"
            isInline
            icon={<Icon name="plus" />}
            onClick={() =>
              change({ forwards: [...forwards, { host_port: nextPort(forwards), guest_port: 22, protocol: "tcp" }] })
            }
          >
            Add a port forward
          </Button>
        </div>
      )}
    </FormSection>
  );
}

const FIRST = 2222;

/** What is proposed: for ssh, as people choose it, and the next ones. Whether others have it, the server says. */
function nextPort(forwards: readonly Forward[]): number {
  const taken = new Set(forwards.map((one) => one.host_port));
  for (let port = FIRST; ; port += 1) if (!taken.has(port)) return port;
}
