/** What a host is wanted for from now on; one that is drained may have its VMs move away, too. */
import { Checkbox } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { count } from "@/ui/format";
import { type DutyChange, hostWord, MOVE_AWAY } from "./words";

export function ChangeDuty({
  host,
  alone,
  change,
  onClose,
}: {
  host: NodeInfo;
  /** There is no other host. */
  alone: boolean;
  change: DutyChange;
  onClose: () => void;
}) {
  const act = useAction();
  const again = change === MOVE_AWAY;
  const [moves, setMoves] = useState(again);
  const drains = change.duty === "draining" && moves;
  const body = { host: host.host, duty: change.duty };
  const drain = { host: host.host };
  const words = ["velocity", "node", change.command, hostWord(host)];
  return (
    <Confirm
      title={change.title(host.name)}
      verb={change.verb}
      danger={false}
      cli={drains ? [...words, "--move"] : words}
      request={
        drains ? { method: "put", path: "/h/node/drain", body: drain } : { method: "patch", path: "/h/node", body }
      }
      onConfirm={() =>
        drains
          ? act({
              pending: `Starting to drain ${host.name}`,
              done: `VMs are being moved off ${host.name}`,
              task: ({ tid }) => tid,
              do: () => call("put", "/h/node/drain", drain),
            })
          : act({
              pending: change.pending(host.name),
              done: change.done(host.name),
              do: () => call("patch", "/h/node", body),
            })
      }
      onClose={onClose}
    >
      <p>{change.about}</p>
      {change.duty === "draining" && host.duty === "active" && host.state === "online" && host.vms > 0 && !alone && (
        <Checkbox
          id="drain-move"
          label={`Move its ${count(host.vms, "VM")} to other hosts`}
          description="Two at a time, running or stopped. The task says which cannot move, and why."
          isChecked={moves}
          onChange={(_event, on) => setMoves(on)}
        />
      )}
    </Confirm>
  );
}
