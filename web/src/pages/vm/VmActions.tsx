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
import { Dropdown } from "@/ui/Dropdown";
import { ForceOff } from "@/ui/ForceOff";
import { actionsOf, HOLD, KILL, runOnVms } from "@/ui/vmActions";
import { Copy } from "./Copy";
import { Delete } from "./Delete";
import { Restart } from "./Restart";

type Dialog = "kill" | "restart" | "copy" | "delete";

const ICONS = {
  start: <PlayIcon />,
  hold: <PlayIcon />,
  resume: <PlayIcon />,
  pause: <PauseIcon />,
  stop: <OffIcon />,
  kill: <OffIcon />,
};
export function VmActions({ vm }: { vm: Vm }) {
  const [open, setOpen] = useState(false);
  const [dialog, setDialog] = useState<Dialog>();
  const may = useMay();
  const mayState = may("vm.state", vm.gid);
  const mayRemove = may("vm.remove", vm.gid);
  const mayCreate = may("vm.create", vm.gid);
  const buttons = actionsOf(vm, may);
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
                  onClick={() => (one.danger ? setDialog("kill") : void runOnVms([vm], one))}
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
                      description="Loaded, but paused before its first instruction"
                      onClick={() => void runOnVms([vm], HOLD)}
                    >
                      {HOLD.title}
                    </DropdownItem>
                  )}
                  {mayState && vm.state === "RUNNING" && (
                    <DropdownItem onClick={() => setDialog("restart")}>Restart…</DropdownItem>
                  )}
                  {buttons.includes(KILL) && (
                    <DropdownItem isDanger onClick={() => setDialog("kill")}>
                      {KILL.title}…
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
                      tooltipProps={
                        stopped ? undefined : { content: "Stop it first: only stopped VMs can be deleted." }
                      }
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
      {dialog === "kill" && <ForceOff vms={[vm]} onClose={close} />}
      {dialog === "restart" && <Restart vm={vm} onClose={close} />}
      {dialog === "copy" && <Copy vm={vm} onClose={close} />}
      {dialog === "delete" && <Delete vm={vm} onClose={close} />}
    </>
  );
}
