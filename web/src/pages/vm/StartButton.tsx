/** Start this VM, for those who may. */
import { Button } from "@patternfly/react-core";
import { PlayIcon } from "@patternfly/react-icons";
import { useMay, type Vm } from "@/api/live";
import { actionsOf, runOnVms, START } from "@/ui/vmActions";

export function StartButton({ vm }: { vm: Vm }) {
  const may = useMay();
  if (!actionsOf(vm, may).includes(START)) return null;
  return (
    <Button icon={<PlayIcon />} onClick={() => void runOnVms([vm], START)}>
      {START.title}
    </Button>
  );
}
