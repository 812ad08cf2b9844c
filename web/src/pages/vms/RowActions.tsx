/**
 * What can be done with one VM: the usual by buttons, each in its place, the rest in a menu. The buttons are plain ones:
 * a table makes hundreds of them while it is scrolled.
 */
import { Divider, DropdownItem, DropdownList } from "@patternfly/react-core";
import { memo, type RefObject, useEffect, useRef, useState } from "react";
import { Link, useNavigate } from "react-router";
import { useMay, type Vm } from "@/api/live";
import { Icon } from "@/look/Icon";
import { Dropdown } from "@/ui/Dropdown";
import { actionsOf, KILL, runOnVms, STOP, type VmAction } from "@/ui/vmActions";
import { dialogsOf } from "@/ui/vmDialogs";
import type { OwnDialog } from "../vm/dialogs";
import { isAsked, type PendingAction } from "./ConfirmAction";

interface Props {
  vm: Vm;
  ask: (asked: PendingAction) => void;
}

export const RowActions = memo(function RowActions({ vm, ask }: Props) {
  const may = useMay();
  const actions = actionsOf(vm, may);
  const quick = actions.find((one) => one.state === "RUNNING");
  const runs = vm.state === "RUNNING";
  const canRestart = runs && dialogsOf(vm, may).includes("restart");
  const canStop = runs && actions.includes(STOP);
  const canLook = may("vm.interact", vm.gid) && vm.state !== "STOPPED";
  const canDelete = may("vm.remove", vm.gid);
  return (
    <span className="v-row-actions">
      {canRestart && (
        <button
          type="button"
          className="v-row-restart v-row-quiet"
          aria-label={`Restart ${vm.name}`}
          title="Restart…"
          onClick={() => ask({ action: "restart", vms: [vm] })}
        >
          <Icon name="refresh" />
        </button>
      )}
      {canStop && (
        <button
          type="button"
          className="v-row-power v-row-quiet"
          aria-label={`Stop ${vm.name}`}
          title="Stop…"
          onClick={() => ask({ action: "stop", vms: [vm] })}
        >
          <Icon name="power" />
        </button>
      )}
      {quick && (
        <button
          type="button"
          className="v-row-power"
          aria-label={`${quick.title} ${vm.name}`}
          title={quick.title}
          onClick={() => void runOnVms([vm], quick)}
        >
          <Icon name="play" />
        </button>
      )}
      {canLook && (
        <Link
          className="v-row-console"
          aria-label={`Console of ${vm.name}`}
          title="Console"
          to={`/vms/${vm.vmid}/console`}
        >
          <Icon name="vm" />
        </Link>
      )}
      {(actions.length > 0 || canLook || canDelete) && (
        <More vm={vm} actions={actions} canLook={canLook} canDelete={canDelete} ask={ask} />
      )}
    </span>
  );
});

interface MoreProps extends Props {
  actions: VmAction[];
  canLook: boolean;
  canDelete: boolean;
}

function More(props: MoreProps) {
  const [open, setOpen] = useState(false);
  const toggle = useRef<HTMLButtonElement>(null);
  return (
    <>
      <button
        ref={toggle}
        type="button"
        className="v-row-more"
        aria-expanded={open}
        aria-haspopup="menu"
        aria-label={`Actions of ${props.vm.name}`}
        onClick={() => setOpen(!open)}
      >
        <Icon name="more" />
      </button>
      {open && <Menu {...props} toggle={toggle} close={() => setOpen(false)} />}
    </>
  );
}

interface MenuProps extends MoreProps {
  toggle: RefObject<HTMLButtonElement | null>;
  close: () => void;
}

/** Made when it is opened: a menu that waits in each of many rows would cost the table its quickness. */
function Menu({ vm, actions, canLook, canDelete, ask, toggle, close }: MenuProps) {
  const navigate = useNavigate();
  const offered = dialogsOf(vm, useMay());
  const asked = (dialog: OwnDialog, title: string) =>
    offered.includes(dialog) && (
      <DropdownItem key={dialog} onClick={() => ask({ action: dialog, vms: [vm] })}>
        {title}
      </DropdownItem>
    );
  // opened a moment later: it is placed by a toggle that it must have seen closed
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(true), []);
  return (
    <Dropdown
      isOpen={open}
      onOpenChange={close}
      onOpenChangeKeys={["Escape", "Tab"]}
      onSelect={close}
      popperProps={{ position: "right" }}
      toggle={{ toggleNode: null, toggleRef: toggle }}
    >
      <DropdownList aria-label={`Actions of ${vm.name}`}>
        {actions
          .filter((one) => !one.danger)
          .map((one) => (
            <DropdownItem
              key={one.verb}
              onClick={() => (isAsked(one) ? ask({ action: one.verb, vms: [vm] }) : void runOnVms([vm], one))}
            >
              {one.title}
              {isAsked(one) && "…"}
            </DropdownItem>
          ))}
        {asked("restart", "Restart…")}
        {actions.includes(KILL) && (
          <DropdownItem key="kill" isDanger onClick={() => ask({ action: "kill", vms: [vm] })}>
            {KILL.title}…
          </DropdownItem>
        )}
        {actions.length > 0 && <Divider key="power" component="li" />}
        {canLook && (
          <DropdownItem key="console" onClick={() => void navigate(`/vms/${vm.vmid}/console`)}>
            Console
          </DropdownItem>
        )}
        <DropdownItem key="open" onClick={() => void navigate(`/vms/${vm.vmid}`)}>
          Overview
        </DropdownItem>
        <DropdownItem key="settings" onClick={() => void navigate(`/vms/${vm.vmid}/settings`)}>
          Devices & settings
        </DropdownItem>
        {asked("rename", "Rename…")}
        {asked("clone", "Clone…")}
        {asked("move", "Move to another group…")}
        {asked("host", "Move to another host…")}
        {canDelete && <Divider key="line" component="li" />}
        {canDelete && (
          <DropdownItem key="delete" isDanger onClick={() => ask({ action: "delete", vms: [vm] })}>
            Delete…
          </DropdownItem>
        )}
      </DropdownList>
    </Dropdown>
  );
}
