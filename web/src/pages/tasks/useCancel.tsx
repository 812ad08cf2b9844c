/** Cancelling a task: asked before, as nothing of what it makes remains. */
import { Content } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { call } from "@/api/call";
import type { TaskInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { capital } from "@/ui/format";
import { idWord } from "@/ui/vmCli";
import { cancelledWords, titleOf } from "./words";

const ABOUT: Record<string, string> = {
  empty: "What it has removed is gone; the rest stays in the trash.",
  move_vm: "The VM stays on the host that it is on.",
  drain: "VMs that have moved stay where they are; those that are being moved stay where they were.",
};

/** The dialog, to be shown somewhere, and how to open it. */
export function useCancel(): [ReactNode, (task: TaskInfo) => void] {
  const [asked, setAsked] = useState<TaskInfo>();
  const act = useAction();
  const dialog = asked && (
    <Confirm
      title={`Cancel “${titleOf(asked)}”?`}
      verb="Cancel the task"
      no="Let it continue"
      cli={["velocity", "task", "cancel", idWord(asked.tid)]}
      request={{ method: "delete", path: "/t/task", body: { tid: asked.tid } }}
      onConfirm={() =>
        act({
          pending: `Cancelling: ${titleOf(asked)}`,
          done: (ended) =>
            ended.state === "CANCELLED"
              ? `Cancelled. ${capital(ended.message ?? cancelledWords(ended.kind))}`
              : "It had already ended",
          do: () => call("delete", "/t/task", { tid: asked.tid }),
        })
      }
      onClose={() => setAsked(undefined)}
    >
      <Content component="p">
        {ABOUT[asked.kind] ?? "What it has made so far is removed. Its source stays as it is."}
      </Content>
    </Confirm>
  );
  return [dialog, setAsked];
}
