/** Deleting media: into the trash, or for good where that is asked for. */
import { Checkbox, Content } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { Medium } from "@/api/live";
import { runBulk } from "@/ui/bulk";
import { Confirm } from "@/ui/Confirm";
import { bytes, count } from "@/ui/format";
import { PlanSummary } from "@/ui/PlanSummary";
import { undoOf } from "@/ui/restore";
import { idWord } from "@/ui/vmCli";

export function DeleteMedia({ media, after, onClose }: { media: Medium[]; after?: () => void; onClose: () => void }) {
  const [purge, setPurge] = useState(false);
  const [first] = media;
  if (!first) return null;
  const only = media.length === 1;
  const body = (medium: Medium) => ({ mid: medium.mid, revision: medium.revision, purge });
  const confirm = async () => {
    const done = await runBulk(media, {
      pending: "Deleting",
      done: purge ? "deleted permanently" : "moved to the trash",
      noun: "medium",
      nouns: "media",
      name: (medium) => medium.name,
      offer: purge
        ? undefined
        : undoOf(
            "medium",
            media.map((one) => one.mid),
          ),
      do: (medium) => call("delete", "/m/media", body(medium)),
    });
    if (done || !only) after?.();
    return done || !only;
  };
  const request = { method: "delete" as const, path: "/m/media", body: { mid: only ? first.mid : "MID", purge } };
  return (
    <Confirm
      title={`Delete ${only ? first.name : count(media.length, "medium", "media")}?`}
      verb={purge ? "Delete permanently" : "Delete"}
      cli={[...["velocity", "media", "rm", only ? idWord(first.mid) : "MID"], ...(purge ? ["--purge"] : [])]}
      request={request}
      onConfirm={confirm}
      onClose={onClose}
    >
      <Content component="p">
        {purge
          ? "The data is removed immediately and cannot be restored."
          : "It can be restored from the trash, with its id, until it expires there."}
      </Content>
      {only ? (
        <PlanSummary change={{ ...request, body: body(first) }} />
      ) : (
        <Content component="p">
          {media.map((medium) => medium.name).join(", ")}: {bytes(media.reduce((sum, one) => sum + one.size, 0))} in
          all. On the command line each is one call.
        </Content>
      )}
      <Checkbox
        id="purge"
        className="v-space-above"
        label="Delete permanently, without the trash"
        isChecked={purge}
        onChange={(_event, on) => setPurge(on)}
      />
    </Confirm>
  );
}
