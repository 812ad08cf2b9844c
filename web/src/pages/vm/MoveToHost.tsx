/** Another host, as a task: while the VM runs, or stopped, with the media of its host. */
import { FormGroup, Skeleton } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { useObjects, usePools, type Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { MoveTarget } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { Failed } from "@/ui/Failed";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { NAMES } from "@/ui/texts/names";
import { inWords } from "@/ui/texts/words";
import { idWord, MISREAD, vmCli } from "@/ui/vmCli";

const FIELDS = ["host", "mpid"];

export function MoveToHost({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const act = useAction();
  const path = useGroupPath();
  const asked = useAnswer("post", "/v/vm/host", { vmid: vm.vmid });
  const refused = useRefusal(FIELDS);
  const [chosen, setHost] = useState<number>();
  const hosts = asked.data?.hosts ?? [];
  const fit = hosts.filter((one) => one.lacks === undefined);
  const target = fit.find((one) => one.host === chosen) ?? fit[0];
  const body = { vmid: vm.vmid, host: target?.host ?? 0 };
  const word = target === undefined || MISREAD.test(target.name) ? idWord(body.host) : target.name;
  const submit = () => {
    refused.clear();
    return act({
      pending: `Starting to move ${vm.name}`,
      done: `${vm.name} is being moved`,
      task: ({ tid }) => tid,
      do: async () => {
        try {
          return await call("put", "/v/vm/host", body);
        } catch (error) {
          refused.set(error);
          throw error;
        }
      },
    });
  };
  return (
    <FormDialog
      title={`Move ${vm.name} to another host`}
      about={
        vm.state === "RUNNING"
          ? "It keeps running, and stands still for a moment at the end. Until then, the move can be cancelled."
          : "From then on it starts there. Until everything is copied, the move can be cancelled."
      }
      verb="Move"
      ready={target !== undefined}
      missing={asked.data !== undefined && target === undefined ? nowhere(hosts.length) : undefined}
      refusal={refused.last}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "move", "--host", word)}
      request={{ method: "put", path: "/v/vm/host", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      {asked.isError && <Failed error={asked.error} what="The hosts" again={() => void asked.refetch()} />}
      {asked.isPending && <Skeleton height="4rem" screenreaderText="Looking at the hosts" />}
      {fit.length > 0 && (
        <FormGroup label="Host" fieldId="move-host">
          <Choose
            id="move-host"
            value={String(target?.host ?? "")}
            onChange={(value) => setHost(Number(value))}
            choices={fit.map((one) => ({ value: String(one.host), label: one.name }))}
          />
          <Hint wrong={refused.at("host") ?? refused.at("mpid")} />
        </FormGroup>
      )}
      {asked.data && !target && <p className="v-subtle">{nowhere(hosts.length)}</p>}
      {target && <TakesAlong target={target} />}
      <Lacking hosts={hosts.filter((one) => one.lacks !== undefined)} />
    </FormDialog>
  );
}

const nowhere = (hosts: number): string =>
  hosts === 0 ? "There is no other host: add one under Hosts." : "No other host can run it now.";

function TakesAlong({ target }: { target: MoveTarget }) {
  const media = useObjects("medium");
  const pools = usePools();
  const called = (mid: string) => media.find((one) => one.mid === mid)?.name ?? mid;
  const pool = (mpid: number) => pools.find((one) => one.mpid === mpid)?.name ?? `pool ${mpid}`;
  if (target.media.length === 0) return <p className="v-subtle">No medium has to be copied.</p>;
  return (
    <FormGroup role="group" label="Media that move with it" fieldId="move-media">
      <ul>
        {target.media.map((one) => (
          <li key={one.mid}>
            {called(one.mid)}, to {pool(one.mpid)}
          </li>
        ))}
      </ul>
    </FormGroup>
  );
}

/** What the others lack, with the cure. */
function Lacking({ hosts }: { hosts: readonly MoveTarget[] }) {
  if (hosts.length === 0) return null;
  return (
    <FormGroup role="group" label="Not possible now" fieldId="move-lacking">
      <ul>
        {hosts.map((one) => (
          <li key={one.host}>
            <bdi>{one.name}</bdi>: {inWords(one.lacks ?? "", NAMES)}
          </li>
        ))}
      </ul>
    </FormGroup>
  );
}
