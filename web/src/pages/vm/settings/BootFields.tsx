/** The boot order: media and, where wanted, NICs, from which the firmware boots by PXE or HTTP. */
import { Button, FormSection } from "@patternfly/react-core";
import { Icon } from "@/look/Icon";
import { useAttachable } from "@/ui/attachable";
import { useEmpty } from "../overview/useEmpty";
import { type Bootable, bootOrder, hasList, ordered, placeWords } from "./boot";
import { moved } from "./draft";
import type { Fields } from "./fields";
import { Problem } from "./Problem";

export function BootFields({ draft, change, problems, disabled, gid }: Fields & { gid: number }) {
  const known = useAttachable(gid);
  const attached = draft.media.flatMap(({ mid }) => known.find((one) => one.mid === mid) ?? []);
  const placed = placeWords(draft, useEmpty(attached));
  if (!hasList(draft)) return null;
  const order = bootOrder(draft);
  const name = ({ of, index }: Bootable) => {
    if (of === "nics") return `NIC ${index + 1} (network boot)`;
    const mid = draft.media[index]?.mid;
    return known.find((one) => one.mid === mid)?.name ?? mid ?? "";
  };
  const set = (to: Bootable[]) => change(ordered(draft, to));
  const others = draft.nics.flatMap((nic, index) => (nic.boot ? [] : [index]));
  return (
    <FormSection id="boot-order" title="Boot order" titleElement="h2">
      <span className="v-subtle">
        The firmware tries them from the top: an empty disk before an installer's ISO boots once it is installed. A NIC
        boots by PXE or HTTP; where no server answers, that takes minutes.
      </span>
      {order.map((one, place) => (
        <fieldset key={`${one.of} ${one.index}`} className="v-row v-row-fields" aria-label={`Boots as ${place + 1}`}>
          <div className="v-grows v-breaks">
            {place + 1}. <bdi>{name(one)}</bdi>
            {placed(one) && <span className="v-subtle"> ({placed(one)})</span>}
            <Problem text={problems[`${one.of}[${one.index}].boot`]} />
          </div>
          {!disabled && (
            <div>
              <Button
                variant="plain"
                icon={<Icon name="up" />}
                aria-label={`Boot from ${name(one)} earlier`}
                isDisabled={place === 0}
                onClick={() => set(moved(order, place, -1))}
              />
              <Button
                variant="plain"
                icon={<Icon name="down" />}
                aria-label={`Boot from ${name(one)} later`}
                isDisabled={place === order.length - 1}
                onClick={() => set(moved(order, place, 1))}
              />
              {one.of === "nics" && (
                <Button
                  variant="plain"
                  icon={<Icon name="trash" />}
                  aria-label={`Do not boot from ${name(one)}`}
                  onClick={() => set(order.filter((it) => it !== one))}
                />
              )}
            </div>
          )}
        </fieldset>
      ))}
      {!disabled &&
        others.map((index) => (
          <div key={index}>
            <Button
              variant="link"
              isInline
              icon={<Icon name="plus" />}
              onClick={() => set([...order, { of: "nics", index }])}
            >
              {`Add network boot from NIC ${index + 1}`}
            </Button>
          </div>
        ))}
    </FormSection>
  );
}
