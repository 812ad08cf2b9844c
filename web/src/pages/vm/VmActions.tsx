/** What can be done with a VM: the likely thing as a button, the rest in a menu, what loses something after a question. */
import { Button, Divider, DropdownItem } from "@patternfly/react-core";
import { useState } from "react";
import { useNavigate } from "react-router";
import { useMay, type Vm } from "@/api/live";
import { Icon, type IconName } from "@/look/Icon";
import { ActionMenu } from "@/ui/ActionMenu";
import { DeleteVms } from "@/ui/DeleteVms";
import { ForceOff } from "@/ui/ForceOff";
import { actionsOf, HOLD, KILL, runOnVms, type VmAction } from "@/ui/vmActions";
import { Clone } from "./Clone";
import { MoveToHost } from "./MoveToHost";
import { MoveVm } from "./MoveVm";
import { NextBoot } from "./NextBoot";
import { Reset } from "./Reset";
import { Restart } from "./Restart";

type Dialog = "kill" | "restart" | "reset" | "boot" | "clone" | "move" | "host" | "delete";

const ICONS: Record<VmAction["verb"], IconName> = {
  start: "play",
  hold: "play",
  resume: "play",
  pause: "pause",
  stop: "power",
  press: "power",
  stay: "power",
  kill: "power",
};

export function VmActions({ vm }: { vm: Vm }) {
  const [dialog, setDialog] = useState<Dialog>();
  const may = useMay();
  const navigate = useNavigate();
  const mayState = may("vm.state", vm.gid);
  const mayRemove = may("vm.remove", vm.gid);
  const mayCreate = may("vm.create", vm.gid);
  // Where there is one host, only who could add another one is told of it.
  const many = vm.host !== undefined || may("node.manage", 0);
  const mayGo = many && vm.moving === undefined && may("vm.alter", vm.gid);
  const buttons = actionsOf(vm, may);
  const close = () => setDialog(undefined);
  const stopped = vm.state === "STOPPED";
  return (
    <>
      {buttons
        .filter((one) => !one.force || buttons.length === 1 || vm.state === "STOPPING")
        .map((one) => (
          <Button
            key={one.verb}
            variant={one.force ? "danger" : one.state === "RUNNING" ? "primary" : "secondary"}
            icon={<Icon name={ICONS[one.verb]} />}
            title={one.title}
            onClick={() => (one.danger ? setDialog("kill") : void runOnVms([vm], one))}
          >
            {one.title}
          </Button>
        ))}
      {(mayState || mayRemove || mayCreate || mayGo) && (
        <ActionMenu name={`More that can be done with ${vm.name}`}>
          {mayState && stopped && (
            <DropdownItem
              description="Before its first instruction: Resume goes on"
              onClick={() => void runOnVms([vm], HOLD)}
            >
              {HOLD.title}
            </DropdownItem>
          )}
          {mayState && !stopped && !vm.restarting && (
            <DropdownItem onClick={() => setDialog("restart")}>Restart…</DropdownItem>
          )}
          {mayState && (vm.state === "RUNNING" || vm.state === "PAUSED") && (
            <DropdownItem isDanger onClick={() => setDialog("reset")}>
              Reset…
            </DropdownItem>
          )}
          {buttons.includes(KILL) && (
            <DropdownItem isDanger onClick={() => setDialog("kill")}>
              {KILL.title}…
            </DropdownItem>
          )}
          {mayState && <DropdownItem onClick={() => setDialog("boot")}>Next start…</DropdownItem>}
          {mayState && (mayCreate || mayRemove || mayGo) && <Divider component="li" />}
          {mayCreate && <DropdownItem onClick={() => setDialog("clone")}>Clone…</DropdownItem>}
          {mayRemove && <DropdownItem onClick={() => setDialog("move")}>Move to another group…</DropdownItem>}
          {mayGo && <DropdownItem onClick={() => setDialog("host")}>Move to another host…</DropdownItem>}
          {mayRemove && <Divider component="li" />}
          {mayRemove && (
            <DropdownItem isDanger onClick={() => setDialog("delete")}>
              Delete…
            </DropdownItem>
          )}
        </ActionMenu>
      )}
      {dialog === "kill" && <ForceOff vms={[vm]} onClose={close} />}
      {dialog === "restart" && <Restart vm={vm} onClose={close} />}
      {dialog === "reset" && <Reset vm={vm} onClose={close} />}
      {dialog === "boot" && <NextBoot vm={vm} onClose={close} />}
      {dialog === "clone" && <Clone vm={vm} onClose={close} />}
      {dialog === "move" && <MoveVm vm={vm} onClose={close} />}
      {dialog === "host" && <MoveToHost vm={vm} onClose={close} />}
      {dialog === "delete" && <DeleteVms vms={[vm]} onDone={() => void navigate("/vms")} onClose={close} />}
    </>
  );
}
