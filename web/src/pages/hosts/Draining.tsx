/** How far the VMs of a host are on their way to other hosts, while it is drained, or which stay there and why. */
import { Button } from "@patternfly/react-core";
import type { TaskInfo } from "@/api/schema";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { asSentence } from "@/ui/texts/words";
import { TaskProgress } from "../tasks/TaskProgress";
import { useCancel } from "../tasks/useCancel";

export function Draining({ task }: { task: TaskInfo }) {
  const [dialog, cancel] = useCancel();
  if (task.state !== "RUNNING") return <Sentence>{`${asSentence(task.message ?? "", NAMES)} `}</Sentence>;
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
