/** How far the VMs of a host are on their way to other hosts, while it is drained. */
import { Button } from "@patternfly/react-core";
import type { TaskInfo } from "@/api/schema";
import { TaskProgress } from "../tasks/TaskProgress";
import { useCancel } from "../tasks/useCancel";

export function Draining({ task }: { task: TaskInfo }) {
  const [dialog, cancel] = useCancel();
  return (
    <>
      Moving its VMs away
      <TaskProgress task={task} />
      <Button variant="link" isInline onClick={() => cancel(task)}>
        Cancel the drain
      </Button>
      {dialog}
    </>
  );
}
