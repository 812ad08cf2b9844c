/** The menu of a medium: what can be done with it, and why something cannot. */
import { Divider, DropdownItem } from "@patternfly/react-core";
import { at } from "@/api/base";
import { type Medium, useMay } from "@/api/live";
import { ActionMenu } from "@/ui/ActionMenu";
import { showToast } from "@/ui/actions";
import { canGrow, canImport, writerOf } from "./content";
import type { Wish } from "./MediumDialogs";

export function MediumActions({
  medium,
  mayMake,
  mayAttach = false,
  onWish,
}: {
  medium: Medium;
  /** Whether the caller may make media somewhere. */
  mayMake: boolean;
  /** Whether it is offered here to attach it: the caller may change VMs somewhere. */
  mayAttach?: boolean;
  onWish: (wish: Wish) => void;
}) {
  const may = useMay();
  const writer = writerOf(medium);
  const held = whyHeld(medium);
  const busy = writer && `Attached to ${writer}, which may write to it: stop that VM first`;
  const copy = () =>
    navigator.clipboard.writeText(medium.mid).then(
      () => showToast("success", "ID copied"),
      () => showToast("warning", "The browser does not allow copying", medium.mid),
    );
  return (
    <ActionMenu name={`Actions of ${medium.name}`}>
      {mayAttach && !medium.missing && <DropdownItem onClick={() => onWish("attach")}>Attach to a VM…</DropdownItem>}
      {mayMake && canImport(medium) && (
        <DropdownItem onClick={() => onWish("import")}>Make a disk from it…</DropdownItem>
      )}
      {mayMake && (
        <DropdownItem onClick={() => onWish("clone")} isAriaDisabled={busy !== undefined} description={busy}>
          Clone…
        </DropdownItem>
      )}
      {may("media.create", medium.gid) && <DropdownItem onClick={() => onWish("rename")}>Edit…</DropdownItem>}
      {may("media.create", medium.gid) && canGrow(medium) && (
        <DropdownItem onClick={() => onWish("grow")}>Grow…</DropdownItem>
      )}
      {mayMake && may("media.remove", medium.gid) && <DropdownItem onClick={() => onWish("move")}>Move…</DropdownItem>}
      {may("media.create", medium.gid) && canGrow(medium) && (
        <DropdownItem onClick={() => onWish("convert")}>Convert or compact…</DropdownItem>
      )}
      {busy === undefined ? (
        <DropdownItem to={at(`/m/media/content/${medium.mid}`)} download={medium.name}>
          Download
        </DropdownItem>
      ) : (
        <DropdownItem isAriaDisabled description={busy}>
          Download
        </DropdownItem>
      )}
      <DropdownItem onClick={() => void copy()}>Copy ID</DropdownItem>
      {may("media.remove", medium.gid) && (
        <>
          <Divider component="li" />
          <DropdownItem
            isDanger={!held}
            onClick={() => onWish("delete")}
            isAriaDisabled={held !== undefined}
            description={held}
          >
            Delete…
          </DropdownItem>
        </>
      )}
    </ActionMenu>
  );
}

/** Why it cannot be deleted: VMs have it, running or not. */
export function whyHeld(medium: Medium): string | undefined {
  const [first] = medium.used_by;
  if (!first) return undefined;
  const others = medium.used_by.length - 1;
  return `Attached to ${first.name}${others > 0 ? ` and ${others} more` : ""}: detach it there first`;
}
