/** The NICs: behind the server's own NAT, or bridged to a NIC of the host. */
import { Button, Checkbox, FormGroup, FormSection, FormSelect, FormSelectOption, Switch } from "@patternfly/react-core";
import { AlterVm } from "@/api/limits";
import { useMay } from "@/api/live";
import type { Interface, Nic } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { called } from "@/ui/permissions";
import { useHostNics } from "@/ui/useHostNics";
import { type Fields, replaced, without } from "./fields";
import { Problem } from "./Problem";

interface Props extends Fields {
  gid: number;
  interfaces: readonly Interface[];
}

export function NicFields({ draft, change, problems, disabled, gid, interfaces }: Props) {
  const { nics } = draft;
  const may = useMay();
  const { mayList, nics: known } = useHostNics();
  const mayBridge = known.length > 0;
  return (
    <FormSection id="nics" title="NICs" titleElement="h2">
      <span className="v-subtle">
        {mayList
          ? "NAT: a private address with DHCP, DNS and internet access. Bridge: on a NIC of the host."
          : `NAT: a private address with DHCP, DNS and internet access. Bridges need the permission ${called("nic.list")}.`}
      </span>
      {nics.map((nic, index) => {
        const field = `nics[${index}]`;
        const mac = nic.mac ?? interfaces.find((one) => one.id === nic.id)?.mac;
        return (
          <fieldset key={nic.id ?? `new ${index}`} className="v-row" aria-label={`NIC ${index + 1}`}>
            <div className="v-row-fields">
              <FormGroup label={`Type of NIC ${index + 1}`} fieldId={`nic-${index}-type`}>
                <FormSelect
                  id={`nic-${index}-type`}
                  value={nic.type}
                  isDisabled={disabled}
                  onChange={(_event, type) =>
                    change({
                      nics: nics.map((one, at) =>
                        at === index
                          ? {
                              ...nicOf(type, known[0]?.nicid),
                              id: one.id,
                              mac: one.mac,
                              link: one.link,
                              boot: one.boot,
                            }
                          : one,
                      ),
                    })
                  }
                  validated={problems[`${field}.type`] ? "error" : "default"}
                >
                  <FormSelectOption value="NAT" label="NAT" />
                  <FormSelectOption value="BRIDGE" label="Bridge" isDisabled={!mayBridge && nic.type !== "BRIDGE"} />
                </FormSelect>
                <Problem text={problems[`${field}.type`]} />
              </FormGroup>
              {nic.type === "BRIDGE" && (
                <FormGroup label="Host NIC" fieldId={`nic-${index}-host`} className="v-grows">
                  <FormSelect
                    id={`nic-${index}-host`}
                    value={nic.host ?? ""}
                    isDisabled={disabled || !mayBridge}
                    onChange={(_event, host) => change({ nics: replaced(nics, index, { host: Number(host) }) })}
                    validated={problems[`${field}.host`] ? "error" : "default"}
                  >
                    {!known.some((one) => one.nicid === nic.host) && (
                      <FormSelectOption
                        value={nic.host ?? ""}
                        label={nic.host === undefined ? "Choose one" : `${nic.host}`}
                      />
                    )}
                    {known.map((one) => (
                      <FormSelectOption
                        key={one.nicid}
                        value={one.nicid}
                        label={one.description ? `${one.identifier}: ${one.description}` : one.identifier}
                      />
                    ))}
                  </FormSelect>
                  <Problem text={problems[`${field}.host`]} />
                </FormGroup>
              )}
              {!disabled && (
                <Button
                  variant="plain"
                  icon={<Icon name="trash" />}
                  aria-label={`Remove NIC ${index + 1}`}
                  onClick={() => change({ nics: without(nics, index) })}
                />
              )}
            </div>
            <div className="v-row-more">
              <Switch
                id={`nic-${index}-link`}
                label="Cable plugged in"
                isChecked={nic.link !== "down"}
                isDisabled={disabled}
                onChange={(_event, up) => change({ nics: replaced(nics, index, { link: up ? "up" : "down" }) })}
              />
              <span className="v-subtle v-breaks">{mac ? `MAC ${mac.toLowerCase()}` : "a new MAC address"}</span>
              {nic.type === "BRIDGE" && (
                <div>
                  <Checkbox
                    id={`nic-${index}-trusted`}
                    label="Trusted: may be a router and a DHCP server"
                    isChecked={nic.trusted ?? false}
                    isDisabled={disabled || (!nic.trusted && !may("nic.trust", gid))}
                    onChange={(_event, trusted) => change({ nics: replaced(nics, index, { trusted }) })}
                  />
                  <Problem text={problems[`${field}.trusted`]} />
                </div>
              )}
            </div>
            <Problem text={problems[`${field}.mac`] ?? problems[`${field}.id`]} />
          </fieldset>
        );
      })}
      {nics.length === 0 && <span className="v-subtle">None: the guest has no network.</span>}
      {!disabled && nics.length < AlterVm.nics.maxItems && (
        <div>
          <Button
            variant="link"
            isInline
            icon={<Icon name="plus" />}
            onClick={() => change({ nics: [...nics, nicOf("NAT", undefined)] })}
          >
            Add a NIC
          </Button>
        </div>
      )}
    </FormSection>
  );
}

const nicOf = (type: string, host: number | undefined): Nic =>
  type === "BRIDGE" && host !== undefined ? { type, host } : { type: type as Nic["type"] };
