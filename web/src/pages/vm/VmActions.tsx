/** What can be done with a VM: the likely thing as a button, the rest in a menu, what loses something after a question. */
import { Button, Divider, DropdownItem } from "@patternfly/react-core";
import { useEffect, useState } from "react";
import { useNavigate, useSearchParams } from "react-router";
import { useMay, type Vm } from "@/api/live";
import { Icon } from "@/look/Icon";
import { ActionMenu } from "@/ui/ActionMenu";
import { DeleteVms } from "@/ui/DeleteVms";
import { ForceOff } from "@/ui/ForceOff";
import { actionsOf, HOLD, ICONS, KILL, runOnVms } from "@/ui/vmActions";
import { dialogsOf, type VmDialog } from "@/ui/vmDialogs";
import { WhyButton } from "@/ui/WhyButton";
import { DIALOGS } from "./dialogs";

type Dialog = VmDialog | "kill";

/** What the address may ask for. */
const DO = "do";

export function VmActions({ vm }: { vm: Vm }) {
  const [dialog, setDialog] = useState<Dialog>();
  const [asked, ask] = useSearchParams();
  const may = useMay();
  const navigate = useNavigate();
  const buttons = actionsOf(vm, may);
  const offered = dialogsOf(vm, may);
  const has = (one: VmDialog) => offered.includes(one);
  const wanted = offered.find((one) => one === asked.get(DO));
  useEffect(() => {
    if (!wanted) return;
    setDialog(wanted);
    ask({}, { replace: true }); // once: what it does may make that it is offered again
  }, [wanted, ask]);
  const close = () => setDialog(undefined);
  const Own = dialog && dialog !== "kill" && dialog !== "delete" ? DIALOGS[dialog] : undefined;
  if (buttons.length + offered.length === 0)
    return (
      <span className="v-subtle">
        View only.{" "}
        <WhyButton
          question={{ vmid: vm.vmid, operation: "set_vm_state" }}
          label="Why?"
          name={`${vm.name}, view only`}
        />
      </span>
    );
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
      {offered.length > 0 && (
        <ActionMenu name={`More that can be done with ${vm.name}`}>
          {has("boot") && vm.state === "STOPPED" && (
            <DropdownItem
              description="Before its first instruction: Resume continues"
              onClick={() => void runOnVms([vm], HOLD)}
            >
              {HOLD.title}
            </DropdownItem>
          )}
          {has("restart") && <DropdownItem onClick={() => setDialog("restart")}>Restart…</DropdownItem>}
          {has("reset") && (
            <DropdownItem isDanger onClick={() => setDialog("reset")}>
              Reset…
            </DropdownItem>
          )}
          {buttons.includes(KILL) && (
            <DropdownItem isDanger onClick={() => setDialog("kill")}>
              {KILL.title}…
            </DropdownItem>
          )}
          {has("boot") && <DropdownItem onClick={() => setDialog("boot")}>Boot once from…</DropdownItem>}
          {has("boot") && (has("rename") || has("clone") || has("move") || has("host")) && <Divider component="li" />}
          {has("rename") && <DropdownItem onClick={() => setDialog("rename")}>Rename…</DropdownItem>}
          {has("clone") && (
            <DropdownItem
              description={vm.state === "STOPPED" ? undefined : "Its disks only while it is stopped"}
              onClick={() => setDialog("clone")}
            >
              Clone…
            </DropdownItem>
          )}
          {has("move") && <DropdownItem onClick={() => setDialog("move")}>Move to another group…</DropdownItem>}
          {has("host") && <DropdownItem onClick={() => setDialog("host")}>Move to another host…</DropdownItem>}
          {has("delete") && <Divider component="li" />}
          {has("delete") && (
            <DropdownItem isDanger onClick={() => setDialog("delete")}>
              Delete…
            </DropdownItem>
          )}
        </ActionMenu>
      )}
      {dialog === "kill" && <ForceOff vms={[vm]} onClose={close} />}
      {Own && <Own vm={vm} onClose={close} />}
      {dialog === "delete" && <DeleteVms vms={[vm]} onDone={() => void navigate("/vms")} onClose={close} />}
    </>
  );
}
