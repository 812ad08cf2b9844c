/** Removing a host: what it has proves nothing any more. */
import { call } from "@/api/call";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { hostWord } from "./words";

export function RemoveHost({ host, onClose }: { host: NodeInfo; onClose: () => void }) {
  const act = useAction();
  const body = { host: host.host };
  return (
    <Confirm
      title={`Remove the host ${host.name}?`}
      verb="Remove"
      cli={["velocity", "node", "rm", hostWord(host)]}
      request={{ method: "delete", path: "/h/node", body }}
      onConfirm={() =>
        act({
          pending: `Removing the host ${host.name}`,
          done: `Host ${host.name} removed`,
          do: () => call("delete", "/h/node", body),
        })
      }
      onClose={onClose}
    >
      <p>
        The server no longer controls it, and its certificate becomes invalid. What is on its disks stays there. Stop{" "}
        <code>velocity-node</code> on that machine. It can join again with a new token.
      </p>
      {host.blocklisted && (
        <p className="v-words">
          It stays on the blocklist of Ceph, by <bdi>{host.blocklisted.addresses.join(", ")}</bdi>. Once none of its
          guests runs there any more, take it off:{" "}
          <code>{host.blocklisted.addresses.map((one) => `ceph osd blocklist rm ${one}:0/0`).join("; ")}</code>
        </p>
      )}
    </Confirm>
  );
}
