/** How far a VM is on its way to another host, in its head. */
import { Button } from "@patternfly/react-core";
import { useMay, useObjects, type Vm } from "@/api/live";
import { session } from "@/api/session";
import { TaskProgress } from "../tasks/TaskProgress";
import { useCancel } from "../tasks/useCancel";

export function OnItsWay({ vm, moving }: { vm: Vm; moving: NonNullable<Vm["moving"]> }) {
  const may = useMay();
  const task = useObjects("task").find((one) => one.tid === moving.tid && one.state === "RUNNING");
  const [dialog, cancel] = useCancel();
  const mine = task?.uid === session.present?.uid;
  return (
    <div className="v-note v-note-busy">
      <strong>Moving to {moving.host.name}</strong>
      {task && <TaskProgress task={task} />}
      {task && (mine || may("media.create", vm.gid)) && (
        <Button variant="link" isInline onClick={() => cancel(task)}>
          Cancel the move
        </Button>
      )}
      {dialog}
    </div>
  );
}
