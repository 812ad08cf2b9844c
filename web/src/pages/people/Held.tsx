/** What is held, in few words: a set's name, which shows its permissions when it is pressed, and the rest one by one. */
import { Label, LabelGroup, List, ListItem, Popover } from "@patternfly/react-core";
import { menuRoom } from "@/ui/Dropdown";
import { Tag } from "@/ui/labels";
import { ABOUT, described, type NamedSet } from "@/ui/permissions";

export function Held({
  permissions,
  muted = false,
  words = false,
}: {
  permissions: Iterable<string>;
  muted?: boolean;
  /** What they allow is told instead of their ids: for who gives none here. */
  words?: boolean;
}) {
  const { set, rest } = described(permissions);
  if (!set && rest.length === 0) return <span className="v-subtle">nothing</span>;
  return (
    <LabelGroup numLabels={6} isCompact aria-label="Permissions" className="v-held">
      {[
        ...(set ? [<SetLabel key={set.name} set={set} muted={muted} />] : []),
        ...rest.map((name) => (
          <Tag key={name} title={words ? name : ABOUT.get(name)}>
            {words ? (ABOUT.get(name) ?? name) : name}
          </Tag>
        )),
      ]}
    </LabelGroup>
  );
}

function SetLabel({ set, muted }: { set: NamedSet; muted: boolean }) {
  return (
    <Popover
      appendTo={menuRoom}
      headerContent={set.name}
      headerComponent="h3"
      bodyContent={<SetBody set={set} />}
      aria-label={`The ${set.name} permissions`}
    >
      <Label isCompact color={muted ? "grey" : "blue"} onClick={() => {}}>
        {set.name}
      </Label>
    </Popover>
  );
}

function SetBody({ set }: { set: NamedSet }) {
  return (
    <>
      {set.about.charAt(0).toUpperCase() + set.about.slice(1)}:
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, by keyboard as well */}
      <section aria-label="Its permissions" tabIndex={0} className="v-held-all">
        <List isPlain>
          {set.permissions.map((name) => (
            <ListItem key={name}>
              <strong>{name}</strong> <span className="v-subtle">{ABOUT.get(name)}</span>
            </ListItem>
          ))}
        </List>
      </section>
    </>
  );
}
