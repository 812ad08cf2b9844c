/** What can be done with a VM: the likely thing as a button, the rest in a menu, what loses something after a question. */
import {
  ActionList,
  ActionListGroup,
  ActionListItem,
  Button,
  Divider,
  DropdownItem,
  DropdownList,
  MenuToggle,
} from "@patternfly/react-core";
import { EllipsisVIcon, OffIcon, PauseIcon, PlayIcon } from "@patternfly/react-icons";
import { useState } from "react";
import { useMay, type Vm } from "@/api/live";
import { Confirm } from "@/ui/Confirm";
import { Dropdown } from "@/ui/Dropdown";
import { actionsFor, useVmAction, type VmAction } from "@/ui/vmActions";
import { Copy } from "./Copy";
import { vmCli } from "./cli";
import { Delete } from "./Delete";
import { Restart } from "./Restart";

type Dialog = "kill" | "restart" | "copy" | "delete";

const ICONS = { start: <PlayIcon />, resume: <PlayIcon />, pause: <PauseIcon />, stop: <OffIcon />, kill: <OffIcon /> };
/** Loaded, and held before its first instruction: for a debugger, or to open the console first. */
const HOLD: VmAction = { verb: "pause", title: "Start held", doing: "Loading", state: "PAUSED", force: false };

export function VmActions({ vm }: { vm: Vm }) {
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState<Dialog>();
  const may = useMay();
  const act = useVmAction();
  const mayState = may("vm.state", vm.gid);
  const mayRemove = may("vm.remove", vm.gid);
  const mayCreate = may("vm.create", vm.gid);
  const buttons = mayState ? actionsFor(vm) : [];
  const kill = buttons.find((one) => one.force);
  const close = () => setDialog(undefined);
  const stopped = vm.state === "STOPPED";
  return (
    <>
      <ActionList>
        <ActionListGroup>
          {buttons
            .filter((one) => !one.force || buttons.length === 1)
            .map((one) => (
              <ActionListItem key={one.verb}>
                <Button
                  variant={one.force ? "danger" : one.state === "RUNNING" ? "primary" : "secondary"}
                  icon={ICONS[one.verb]}
                  onClick={() => (one.danger ? setDialog("kill") : void act(vm, one))}
                >
                  {one.title}
                </Button>
              </ActionListItem>
            ))}
          {(mayState || mayRemove || mayCreate) && (
            <ActionListItem>
              <Dropdown
                isOpen={open}
                onOpenChange={setOpen}
                onSelect={() => setOpen(false)}
                popperProps={{ position: "right" }}
                toggle={(ref) => (
                  <MenuToggle
                    ref={ref}
                    variant="plain"
                    icon={<EllipsisVIcon />}
                    aria-label={`More that can be done with ${vm.name}`}
                    isExpanded={open}
                    onClick={() => setOpen(!open)}
                  />
                )}
              >
                <DropdownList>
                  {mayState && stopped && (
                    <DropdownItem
                      description="Loaded, and paused before its first instruction"
                      onClick={() => void act(vm, HOLD)}
                    >
                      Start held
                    </DropdownItem>
                  )}
                  {mayState && vm.state === "RUNNING" && (
                    <DropdownItem onClick={() => setDialog("restart")}>Restart…</DropdownItem>
                  )}
                  {kill && (
                    <DropdownItem isDanger onClick={() => setDialog("kill")}>
                      Force off…
                    </DropdownItem>
                  )}
                  {mayCreate && (
                    <DropdownItem onClick={() => setDialog("copy")}>Create another one like it…</DropdownItem>
                  )}
                  {mayRemove && <Divider component="li" />}
                  {mayRemove && (
                    <DropdownItem
                      isDanger
                      isAriaDisabled={!stopped}
                      tooltipProps={stopped ? undefined : { content: "Stop it first: only a stopped VM is deleted." }}
                      onClick={() => stopped && setDialog("delete")}
                    >
                      Delete…
                    </DropdownItem>
                  )}
                </DropdownList>
              </Dropdown>
            </ActionListItem>
          )}
        </ActionListGroup>
      </ActionList>
      {dialog === "kill" && kill && (
        <Confirm
          title={`Force off ${vm.name}?`}
          verb="Force off"
          cli={vmCli(vm, "stop", "--force")}
          request={{ method: "put", path: "/v/vm/state", body: { vmid: vm.vmid, state: "STOPPED", force: true } }}
          onConfirm={() => act(vm, kill)}
          onClose={close}
        >
          {kill.danger}
        </Confirm>
      )}
      {dialog === "restart" && <Restart vm={vm} onClose={close} />}
      {dialog === "copy" && <Copy vm={vm} onClose={close} />}
      {dialog === "delete" && <Delete vm={vm} onClose={close} />}
    </>
  );
}
