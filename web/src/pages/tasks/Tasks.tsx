/** What takes longer than a moment: imports, clones, emptying the trash, as they go, and how they ended. */

import { Button, Content, EmptyState, EmptyStateBody, Skeleton } from "@patternfly/react-core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useMay, useObjects, useReady } from "@/api/live";
import type { TaskInfo, TaskState } from "@/api/schema";
import { session } from "@/api/session";
import { Filter } from "@/ui/Choose";
import { useGroupPath } from "@/ui/groups";
import { NONE, TaskLabel } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { PathText } from "@/ui/PathText";
import { Section } from "@/ui/Section";
import { Sentence } from "@/ui/Sentence";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { useAddress } from "@/ui/useAddress";
import { When } from "@/ui/When";
import { TaskProgress } from "./TaskProgress";
import { useCancel } from "./useCancel";
import { cancelledWords, titleOf, took } from "./words";

const STATES: TaskState[] = ["RUNNING", "FAILED", "DONE", "CANCELLED"];

export default function Tasks() {
  const tasks = useObjects("task");
  const users = useObjects("user");
  const media = useObjects("medium");
  const path = useGroupPath();
  const may = useMay();
  const [asked, change] = useAddress();
  const state = asked.get("state") ?? "";
  const setState = (chosen: string) => change((now) => (chosen ? now.set("state", chosen) : now.delete("state")));
  const marked = Number(asked.get("task") ?? Number.NaN);
  const ready = useReady();
  const [dialog, cancel] = useCancel();
  const shown = useMemo(() => tasks.filter((task) => !state || task.state === state), [tasks, state]);
  const columns = useMemo<Column<TaskInfo>[]>(() => {
    const names = new Map(users.map((user) => [user.uid, user.name]));
    const there = new Set(media.map((medium) => medium.mid));
    const who = (uid: number) => names.get(uid) ?? `user ${uid}`;
    return [
      { key: "what", title: "Task", names: true, cell: titleOf, sort: titleOf },
      {
        key: "state",
        title: "State",
        phone: "first",
        cell: (task) => <TaskLabel state={task.state} />,
        sort: (task) => STATES.indexOf(task.state),
        text: (task) => task.state,
      },
      {
        key: "outcome",
        title: "Progress and result",
        cell: (task) => <Outcome task={task} there={there} />,
        text: (task) => task.message ?? "",
      },
      {
        key: "group",
        title: "Group",
        cell: (task) => <PathText path={path(task.gid)} />,
        sort: (task) => path(task.gid),
      },
      { key: "who", title: "By", cell: (task) => who(task.uid), sort: (task) => who(task.uid) },
      {
        key: "begun",
        title: "Begun",
        nowrap: true,
        cell: (task) => <When at={task.begun} />,
        sort: (task) => task.begun,
      },
      {
        key: "took",
        title: "Took",
        nowrap: true,
        number: true,
        cell: (task) => took(task) ?? NONE,
        sort: (task) => (task.ended ?? 0) - task.begun,
      },
      { key: "tid", title: "Number", cell: (task) => task.tid, sort: (task) => task.tid, optional: true },
    ];
  }, [users, media, path]);
  return (
    <>
      <PageHead
        title="Tasks"
        about="Imports, clones, moves and emptying the trash. Finished tasks are kept for a day."
      />
      <Section>
        <DataTable
          id="tasks"
          label="Tasks"
          noun="task"
          rows={shown}
          columns={columns}
          rowKey={keyOf}
          marked={marked}
          rowName={titleOf}
          sortBy={{ key: "begun", down: true }}
          filters={
            tasks.length > 0 && (
              <Filter
                label="State"
                all="All states"
                value={state}
                onChange={setState}
                choices={STATES.map((one) => ({ value: one, label: one.charAt(0) + one.slice(1).toLowerCase() }))}
              />
            )
          }
          rowActions={(task) =>
            task.state === "RUNNING" && (task.uid === session.present?.uid || may("media.create", task.gid)) ? (
              <Button variant="link" size="sm" onClick={() => cancel(task)}>
                Cancel<span className="v-hidden-text"> {titleOf(task)}</span>
              </Button>
            ) : null
          }
          empty={
            !ready ? (
              <Skeleton height="10rem" screenreaderText="Loading the tasks" />
            ) : tasks.length > 0 ? (
              <EmptyState titleText="No task is in this state" headingLevel="h2">
                <EmptyStateBody>
                  <Button variant="link" onClick={() => setState("")}>
                    Show all
                  </Button>
                </EmptyStateBody>
              </EmptyState>
            ) : (
              <EmptyState titleText="No tasks in the last day" headingLevel="h2">
                <EmptyStateBody>
                  Imports, clones and other work that takes a while appear here. Most of it begins under{" "}
                  <Link to="/media">Media</Link>.
                </EmptyStateBody>
              </EmptyState>
            )
          }
        />
      </Section>
      {dialog}
    </>
  );
}

const keyOf = (task: TaskInfo) => task.tid;

function Outcome({ task, there }: { task: TaskInfo; there: ReadonlySet<string> }) {
  if (task.state === "RUNNING") return <TaskProgress task={task} />;
  if (task.state === "FAILED")
    return (
      <Content component="p">
        <Sentence>{task.message ?? "It failed without a message."}</Sentence>
      </Content>
    );
  if (task.message !== undefined)
    return (
      <span className="v-subtle">
        <Sentence>{task.message}</Sentence>
      </span>
    );
  if (task.state === "CANCELLED") return <span className="v-subtle">{cancelledWords(task.kind)}</span>;
  if (task.vmid !== undefined) return <Link to={`/vms/${task.vmid}`}>{task.name}</Link>;
  if (task.mid === undefined) return null;
  return there.has(task.mid) ? (
    <Link to={`/media/${task.mid}`}>{task.name}</Link>
  ) : (
    <span className="v-subtle">
      <bdi>{task.name}</bdi>, which is no longer there
    </span>
  );
}
