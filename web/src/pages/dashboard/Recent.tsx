/** What runs now and what happened lately, in a few lines. */
import { Card, CardBody, CardTitle, Content } from "@patternfly/react-core";
import { Link } from "react-router";
import type { TaskInfo } from "@/api/schema";
import { Failed } from "@/ui/Failed";
import { Tag } from "@/ui/labels";
import { When } from "@/ui/When";
import { useEntries, type Wanted } from "../history/entries";
import { folded } from "../history/folded";
import { Happened, isRefused, whoOf } from "../history/Happened";
import { useNames } from "../history/names";
import { TaskProgress } from "../tasks/TaskProgress";
import { titleOf } from "../tasks/words";

export function RunningTasks({ tasks }: { tasks: readonly TaskInfo[] }) {
  if (tasks.length === 0) return null;
  return (
    <Card component="section" aria-labelledby="running-tasks">
      <CardTitle component="h2" id="running-tasks">
        Running tasks
      </CardTitle>
      <CardBody>
        {tasks.map((task) => (
          <div key={task.tid} className="v-item">
            <Link to="/tasks">{titleOf(task)}</Link>
            <TaskProgress task={task} />
          </div>
        ))}
      </CardBody>
    </Card>
  );
}

const FEW = 8;
/** Several can be one line. */
const READ = 40;

export function RecentHistory({ gid }: { gid: number }) {
  const wanted: Wanted = { gid };
  const { known, error, again } = useEntries(wanted, READ);
  const names = useNames();
  return (
    <Card component="section" aria-labelledby="recent">
      <CardTitle component="h2" id="recent">
        Recent activity
      </CardTitle>
      <CardBody>
        {error !== undefined && !known && <Failed error={error} what="The history" again={again} />}
        <ul className="v-lines">
          {folded(known?.entries ?? [])
            .slice(0, FEW)
            .map((entry) => (
              <li key={entry.hid}>
                <strong>{whoOf(entry, names) ?? "Someone"}</strong> <Happened entry={entry} names={names} />{" "}
                {isRefused(entry) && <Tag tone="bad">{entry.status >= 500 ? "failed" : "refused"}</Tag>}{" "}
                <small className="v-subtle">
                  <When at={entry.at} />
                </small>
              </li>
            ))}
        </ul>
        <Content component="p" className="v-space-above">
          <Link to="/history">The whole history</Link>
        </Content>
      </CardBody>
    </Card>
  );
}
