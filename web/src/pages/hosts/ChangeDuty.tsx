/** What a host is wanted for from now on. */
import { call } from "@/api/call";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { type DutyChange, hostWord } from "./words";

export function ChangeDuty({ host, change, onClose }: { host: NodeInfo; change: DutyChange; onClose: () => void }) {
  const act = useAction();
  const body = { host: host.host, duty: change.duty };
  return (
    <Confirm
      title={change.title(host.name)}
      verb={change.verb}
      danger={false}
      cli={["velocity", "node", change.command, hostWord(host)]}
      request={{ method: "patch", path: "/h/node", body }}
      onConfirm={() =>
        act({
          pending: change.pending(host.name),
          done: change.done(host.name),
          do: () => call("patch", "/h/node", body),
        })
      }
      onClose={onClose}
    >
      <p>{change.about}</p>
    </Confirm>
  );
}
