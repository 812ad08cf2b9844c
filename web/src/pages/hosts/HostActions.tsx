/** The menu of a host. */
import { Divider, DropdownItem } from "@patternfly/react-core";
import type { NodeInfo, Nodes } from "@/api/schema";
import { ActionMenu } from "@/ui/ActionMenu";
import { useAction } from "@/ui/actions";
import { count } from "@/ui/format";
import { testFence } from "./SetFence";
import { changesOf, type HostWish } from "./words";

export type Database = NonNullable<Nodes["database"]>;

interface Props {
  host: NodeInfo;
  database: Database;
  onWish: (wish: HostWish) => void;
}

export function HostActions({ host, database, onWish }: Props) {
  const act = useAction();
  const lost = !host.own && (host.state === "unreachable" || host.state === "joining");
  const copied = host.keeps_copy || database === "sqlite";
  const held = host.vms > 0 ? `${count(host.vms, "VM")} on it: ${heldCure(host)}` : undefined;
  return (
    <ActionMenu name={`Actions of ${host.name}`}>
      {lost && (
        <>
          <DropdownItem onClick={() => onWish("confirm")}>Confirm that it is off…</DropdownItem>
          {host.rbd_addresses && (
            <DropdownItem isDanger onClick={() => onWish("blocklist")}>
              Blocklist on Ceph…
            </DropdownItem>
          )}
          <Divider component="li" />
        </>
      )}
      {changesOf(host).map((change) => (
        <DropdownItem key={change.verb} onClick={() => onWish(change)}>
          {change.verb}…
        </DropdownItem>
      ))}
      <DropdownItem onClick={() => onWish("edit")}>Edit…</DropdownItem>
      {!host.own && (
        <>
          <DropdownItem
            onClick={() => onWish("copy")}
            isAriaDisabled={!copied}
            description={copied ? undefined : "The database is PostgreSQL: a second server stands by instead"}
          >
            {host.keeps_copy ? "End the copy of the database…" : "Keep a copy of the database…"}
          </DropdownItem>
          <DropdownItem onClick={() => onWish("again")}>Let it join again…</DropdownItem>
          <Divider component="li" />
          <DropdownItem onClick={() => onWish("fencing")}>Fencing…</DropdownItem>
          {host.fence && <DropdownItem onClick={() => void testFence(host, act)}>Test fencing</DropdownItem>}
          {host.fence && host.state !== "dead" && (
            <DropdownItem isDanger onClick={() => onWish("fence")}>
              Power off…
            </DropdownItem>
          )}
          <DropdownItem
            isDanger={!held}
            onClick={() => onWish("remove")}
            isAriaDisabled={held !== undefined}
            description={held}
          >
            Remove…
          </DropdownItem>
        </>
      )}
    </ActionMenu>
  );
}

/** What to do before it can be removed. */
function heldCure({ state, vms }: NodeInfo): string {
  const them = vms === 1 ? "it" : "them";
  if (state === "dead") return `start ${them} elsewhere, or delete ${them}, first`;
  return state === "online" ? `move or delete ${them} first` : "confirm that it is off first";
}
