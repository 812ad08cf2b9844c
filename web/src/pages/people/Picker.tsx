/** Choosing permissions: ready-made sets, and each by itself, by area. What cannot be given or taken says why. */
import { Button, Checkbox, Content, Flex, ToggleGroup, ToggleGroupItem } from "@patternfly/react-core";
import { AREAS, exactly, inOrder, SETS } from "@/ui/permissions";

export interface Limits {
  /** Why it cannot be given or taken by this caller; nothing if it can. */
  whyNot: (permission: string, give: boolean) => string | undefined;
  /** The groups above through which it is held anyway. */
  above: ReadonlyMap<string, string>;
}

export function Picker({
  held,
  wanted,
  limits: { whyNot, above },
  onChange,
}: {
  held: ReadonlySet<string>;
  wanted: ReadonlySet<string>;
  limits: Limits;
  onChange: (wanted: ReadonlySet<string>) => void;
}) {
  const reason = (name: string) => whyNot(name, !held.has(name));
  /** The wish, as far as the caller can fulfil it. */
  const choose = (names: readonly string[]) => {
    const all = inOrder([...held, ...names]);
    onChange(new Set(all.filter((name) => (reason(name) ? held.has(name) : names.includes(name)))));
  };
  const missing = (names: readonly string[]) => names.filter((name) => !held.has(name) && reason(name));
  const set = exactly(wanted);
  return (
    <>
      <Flex gap={{ default: "gapMd" }} alignItems={{ default: "alignItemsCenter" }}>
        <ToggleGroup aria-label="Ready-made sets" className="v-sets">
          {SETS.map((one) => (
            <ToggleGroupItem
              key={one.name}
              text={one.name}
              buttonId={`set-${one.name}`}
              isSelected={set?.name === one.name}
              onChange={() => choose(one.permissions)}
            />
          ))}
        </ToggleGroup>
        <Button variant="link" isInline onClick={() => choose([])} isDisabled={wanted.size === 0}>
          None
        </Button>
      </Flex>
      <Content component="p" className="v-subtle" aria-live="polite">
        {set
          ? `${set.name}: ${set.about}. ${set.permissions.length} permissions, marked below.`
          : "A set ticks several permissions at once: ".concat(
              SETS.map((one) => `${one.name} ${one.about}`).join("; "),
              ".",
            )}
        {set === undefined &&
          SETS.some((one) => missing(one.permissions).length > 0) &&
          " Permissions that you cannot give are left out of a set."}
      </Content>
      <div className="v-areas">
        {AREAS.map((area) => (
          <fieldset key={area.title} className="v-area">
            <legend>{area.title}</legend>
            {area.permissions.map(({ name, about }) => {
              const why = reason(name);
              const from = above.get(name);
              return (
                <Checkbox
                  key={name}
                  id={`permission-${name}`}
                  label={name}
                  description={
                    <>
                      {about}
                      {from !== undefined && <span className="v-from">Inherited from {from} in any case.</span>}
                      {why && <span className="v-from">{why}</span>}
                    </>
                  }
                  isChecked={wanted.has(name)}
                  isDisabled={why !== undefined}
                  onChange={(_event, on) => {
                    const next = new Set(wanted);
                    if (on) next.add(name);
                    else next.delete(name);
                    onChange(next);
                  }}
                />
              );
            })}
          </fieldset>
        ))}
      </div>
    </>
  );
}
