/** Whether a host keeps a copy of the server's database: what that is good for, and what it gives away. */
import { call } from "@/api/call";
import type { NodeInfo } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { CopyState } from "./CopyState";
import { hostWord } from "./words";

export function KeepCopy({ host, onClose }: { host: NodeInfo; onClose: () => void }) {
  const act = useAction();
  const ends = host.keeps_copy === true;
  const body = { host: host.host, keeps_copy: !ends };
  const request = { method: "patch", path: "/h/node", body } as const;
  return (
    <Confirm
      title={ends ? `End the copy of the database on ${host.name}?` : `Keep a copy of the database on ${host.name}?`}
      verb={ends ? "End the copy" : "Keep a copy"}
      danger={ends}
      cli={["velocity", "node", "set", hostWord(host), ends ? "--no-keeps-copy" : "--keeps-copy"]}
      request={request}
      onConfirm={() =>
        act({
          pending: ends ? `Ending the copy on ${host.name}` : `Beginning the copy on ${host.name}`,
          done: ends
            ? `${host.name} keeps no copy; what it has is removed when it responds`
            : `${host.name} keeps a copy of the database`,
          do: () => call("patch", "/h/node", body),
        })
      }
      onClose={onClose}
    >
      {ends ? (
        <>
          <p>
            <CopyState host={host} />
          </p>
          <p>Without one the host cannot become the server. Its copy is removed as soon as it responds.</p>
        </>
      ) : (
        <>
          <p>
            If this server's machine is lost, the host can become the server: <code>velocity promote</code> there. A
            change is in the copy within seconds.
          </p>
          <p>
            The copy is the whole database, with all that is secret in it: whoever is root on that machine could become
            the server.
          </p>
        </>
      )}
    </Confirm>
  );
}
