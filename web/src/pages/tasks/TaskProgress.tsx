/** How far a running task has come: a bar, or that its end is not known yet. */
import { Progress, ProgressMeasureLocation, Spinner } from "@patternfly/react-core";
import type { TaskInfo } from "@/api/schema";
import { useNow } from "@/ui/When";
import { percent, progressWords, titleOf } from "./words";

export function TaskProgress({ task }: { task: TaskInfo }) {
  useNow();
  const far = percent(task);
  const words = progressWords(task, Date.now() / 1000);
  if (far === undefined)
    return (
      <div>
        <Spinner size="sm" aria-label={`${titleOf(task)} is in progress`} /> {words}
      </div>
    );
  return (
    <div>
      <Progress
        value={far}
        size="sm"
        measureLocation={ProgressMeasureLocation.outside}
        aria-label={titleOf(task)}
        valueText={`${far}%, ${words}`}
      />
      <small className="v-subtle">{words}</small>
    </div>
  );
}
