/** Start this VM, for those who may. */
import { Button } from "@patternfly/react-core";
import { PlayIcon } from "@patternfly/react-icons";
import { useMay, type Vm } from "@/api/live";
import { actionsFor, useVmAction } from "@/ui/vmActions";

export function StartButton({ vm }: { vm: Vm }) {
  const act = useVmAction();
  const may = useMay();
  const action = actionsFor(vm).find((one) => one.verb === "start");
  if (!action || !may("vm.state", vm.gid)) return null;
  return (
    <Button icon={<PlayIcon />} onClick={() => void act(vm, action)}>
      Start
    </Button>
  );
}
