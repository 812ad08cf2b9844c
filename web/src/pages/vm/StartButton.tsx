/** Start this VM, for those who may. */
import { Button } from "@patternfly/react-core";
import { useMay, type Vm } from "@/api/live";
import { Icon } from "@/look/Icon";
import { actionsOf, runOnVms, START } from "@/ui/vmActions";

export function StartButton({ vm }: { vm: Vm }) {
  const may = useMay();
  if (!actionsOf(vm, may).includes(START)) return null;
  return (
    <Button icon={<Icon name="play" />} onClick={() => void runOnVms([vm], START)}>
      {START.title}
    </Button>
  );
}
