/** Another group, at once, or another pool, as a task: the VMs that use the medium keep it. */
import { call } from "@/api/call";
import type { Medium } from "@/api/live";
import { useAction } from "@/ui/actions";
import { FormDialog, useRefusal } from "@/ui/FormDialog";
import { groupOption, idWord } from "@/ui/vmCli";
import { roomProblem } from "./rules";
import { TargetFields } from "./TargetFields";
import { useTarget } from "./target";

const FIELDS = ["gid", "mpid", "name"];

export function MoveMedium({ medium, onClose }: { medium: Medium; onClose: () => void }) {
  const target = useTarget(medium);
  const act = useAction();
  const refused = useRefusal(FIELDS);
  const pooled = target.mpid !== undefined && target.mpid !== medium.mpid;
  const grouped = target.gid !== medium.gid;
  const taken = (pooled || grouped) && target.taken.has(medium.name);
  const naming = taken ? "That group has a medium with this name in that pool: rename one of them first." : undefined;
  const room = pooled ? roomProblem(target.pool, medium.size, target) : undefined;
  const body = {
    mid: medium.mid,
    ...(grouped ? { gid: target.gid } : {}),
    ...(pooled ? { mpid: target.mpid } : {}),
  };
  const submit = async () => {
    return act({
      pending: `Moving ${medium.name}`,
      done: (moved) => (moved.tid === undefined ? `${medium.name} moved` : `${medium.name} is being moved`),
      task: (moved) => moved.tid,
      do: () => refused.during(() => call("put", "/m/media/move", body)),
    });
  };
  return (
    <FormDialog
      title={`Move ${medium.name}`}
      about="It stays attached to its VMs. To another pool it moves as a task: a running VM keeps running; a stopped one cannot start until it is done."
      verb="Move"
      ready={(pooled || grouped) && !naming && !room && target.mpid !== undefined}
      lacking={naming ? undefined : room}
      missing={pooled || grouped ? undefined : "It is there already. Choose another group or pool."}
      refusal={refused.last}
      cli={[
        ...["velocity", "media", "move", idWord(medium.mid)],
        ...(grouped ? ["--to", groupOption(target.gid, target.path)[1] ?? "/"] : []),
        ...(pooled ? ["--to-pool", idWord(target.mpid ?? "")] : []),
      ]}
      request={{ method: "put", path: "/m/media/move", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      <TargetFields
        target={target}
        problem={naming ?? refused.at("gid") ?? refused.at("name")}
        poolProblem={room ?? refused.at("mpid")}
      />
    </FormDialog>
  );
}
