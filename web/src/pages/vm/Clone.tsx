/** Another VM like this one: with copies of the disks that it writes to, as a task of the server's. */

import { Alert, Button, Checkbox, FormGroup, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { type Medium, useMay, useObjects, usePools, type Vm } from "@/api/live";
import type { Attachment } from "@/api/schema";
import { useAction } from "@/ui/actions";
import { Choose } from "@/ui/Choose";
import { Failed } from "@/ui/Failed";
import { ForceOff } from "@/ui/ForceOff";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { useHostChoices } from "@/ui/hostChoices";
import { nameProblem } from "@/ui/problems";
import { Sentence } from "@/ui/Sentence";
import { actionsOf, KILL, runOnVms, STOP } from "@/ui/vmActions";
import { groupOption, idWord, vmCli } from "@/ui/vmCli";
import { useVmInfo } from "./useVmInfo";

const NOT_STOPPED = "clone-not-stopped";
const FIELDS = ["name", "gid", "host", "mpid"];

export function Clone({ vm, onClose }: { vm: Vm; onClose: () => void }) {
  const info = useVmInfo(vm);
  const act = useAction();
  const may = useMay();
  const path = useGroupPath();
  const groups = useObjects("group").filter((one) => may("vm.create", one.gid));
  const vms = useObjects("vm");
  const media = useObjects("medium");
  const refused = useRefusal(FIELDS);
  const [typed, setTyped] = useState<string>();
  const [chosen, setGid] = useState<number>();
  const [left, setLeft] = useState<readonly string[]>([]);
  const [variables, setVariables] = useState(true);
  const [host, setHost] = useState("");
  const [pool, setPool] = useState("");
  const [forcing, setForcing] = useState(false);
  const pools = usePools();
  const hosts = useHostChoices(vm.host !== undefined);
  const gid = chosen ?? (groups.some((one) => one.gid === vm.gid) ? vm.gid : (groups[0]?.gid ?? vm.gid));
  const taken = new Set(vms.filter((one) => one.gid === gid).map((one) => one.name));
  const name = typed ?? freeName(vm.name, taken);
  const problem = nameProblem(name) ?? (taken.has(name) ? "The group already has a VM with that name." : undefined);
  const attached = info.data?.media ?? [];
  const medium = (mid: string) => media.find((one) => one.mid === mid);
  const copied = (one: Attachment) => isCopied(one, medium(one.mid));
  const copies = attached.some((one) => copied(one) && !left.includes(one.mid));
  const takes = variables || copies;
  const runs = vm.state !== "STOPPED" && takes;
  const body = {
    vmid: vm.vmid,
    gid,
    name,
    ...(left.length > 0 ? { leave: [...left] } : {}),
    ...(variables ? {} : { fresh_firmware: true }),
    ...(host ? { host: Number(host) } : {}),
    ...(pool && copies ? { mpid: Number(pool) } : {}),
  };
  const options = [
    ...left.flatMap((mid) => ["--leave", idWord(mid)]),
    ...(variables ? [] : ["--fresh-firmware"]),
    ...(host ? ["--host", idWord(Number(host))] : []),
    ...(pool && copies ? ["--pool", idWord(Number(pool))] : []),
    ...(gid === vm.gid ? [] : ["--to", groupOption(gid, path(gid))[1] ?? "/"]),
  ];
  const submit = () => {
    refused.clear();
    return act({
      pending: `Starting to clone ${vm.name}`,
      done: `Cloning ${vm.name} as ${name}`,
      task: ({ tid }) => tid,
      makes: { gid, name },
      do: async () => {
        try {
          return await call("put", "/v/vm/clone", body);
        } catch (error) {
          refused.set(error);
          throw error;
        }
      },
    });
  };
  if (forcing) return <ForceOff vms={[vm]} onClose={() => setForcing(false)} />;
  return (
    <FormDialog
      title={`Clone ${vm.name}`}
      about="The same settings, with NICs of its own; it does not start with the server."
      verb="Clone"
      ready={!problem && !runs && info.data !== undefined}
      blocked={runs ? NOT_STOPPED : undefined}
      refusal={refused.last}
      cli={vmCli({ ...vm, path: path(vm.gid) }, "clone", name, ...options)}
      request={{ method: "put", path: "/v/vm/clone", body }}
      onSubmit={submit}
      onClose={onClose}
    >
      {info.isError && <Failed error={info.error} what="The VM" again={() => void info.refetch()} />}
      {runs && (
        <NotStopped
          vm={vm}
          onForceOff={() => setForcing(true)}
          onLeave={() => {
            setLeft(attached.filter(copied).map((one) => one.mid));
            setVariables(false);
          }}
        />
      )}
      <FormGroup label="Name" fieldId="clone-name" isRequired>
        <TextInput
          id="clone-name"
          value={name}
          onChange={(_event, value) => setTyped(value)}
          validated={problem || refused.at("name") ? "error" : "default"}
        />
        <Hint wrong={problem ?? refused.at("name")} />
      </FormGroup>
      {groups.length > 1 && (
        <FormGroup label="Group" fieldId="clone-group">
          <Choose
            id="clone-group"
            value={String(gid)}
            onChange={(value) => setGid(Number(value))}
            choices={groups.map((one) => ({ value: String(one.gid), label: path(one.gid) }))}
          />
          <Hint wrong={refused.at("gid")} />
        </FormGroup>
      )}
      {hosts && (
        <FormGroup label="Host" fieldId="clone-host">
          <Choose
            id="clone-host"
            value={host}
            onChange={setHost}
            choices={[{ value: "", label: `With ${vm.name}, if it can be` }, ...hosts]}
          />
          <Hint wrong={refused.at("host")} />
        </FormGroup>
      )}
      {(pools.length > 1 || refused.at("mpid")) && copies && (
        <FormGroup label="Pool of the copies" fieldId="clone-pool">
          <Choose
            id="clone-pool"
            value={pool}
            onChange={setPool}
            choices={[
              { value: "", label: "That of each disk" },
              ...pools.map((one) => ({ value: String(one.mpid), label: one.name })),
            ]}
          />
          <Hint wrong={refused.at("mpid")} />
        </FormGroup>
      )}
      <FormGroup role="group" label="Include" fieldId="clone-takes">
        {attached.map((one) => (
          <Checkbox
            key={one.mid}
            id={`clone-${one.mid}`}
            label={medium(one.mid)?.name ?? one.mid}
            description={
              copied(one) ? `A copy of it (${bytes(medium(one.mid)?.size ?? 0)})` : "Shared: it is only read"
            }
            isChecked={!left.includes(one.mid)}
            onChange={(_event, on) => setLeft(on ? left.filter((it) => it !== one.mid) : [...left, one.mid])}
          />
        ))}
        <Checkbox
          id="clone-variables"
          label="Firmware settings"
          description="Among them the boot entries, which an installed system may need."
          isChecked={variables}
          onChange={(_event, on) => setVariables(on)}
        />
      </FormGroup>
    </FormDialog>
  );
}

/** What is copied must not change meanwhile: the way to that, and around it. */
function NotStopped({ vm, onForceOff, onLeave }: { vm: Vm; onForceOff: () => void; onLeave: () => void }) {
  const offered = actionsOf(vm, useMay());
  const stops = vm.state === "STOPPING";
  return (
    <Alert
      id={NOT_STOPPED}
      component="p"
      isInline
      variant={stops ? "info" : "warning"}
      title={<Sentence>{`${vm.name} is not stopped${stops ? " yet" : ""}`}</Sentence>}
      actionLinks={
        <>
          {offered.includes(STOP) && (
            <Button variant="link" isInline onClick={() => void runOnVms([vm], STOP)}>
              <Sentence>{`Stop ${vm.name}`}</Sentence>
            </Button>
          )}
          {offered.includes(KILL) && (
            <Button variant="link" isInline isDanger onClick={onForceOff}>
              {KILL.title}…
            </Button>
          )}
          <Button variant="link" isInline onClick={onLeave}>
            Leave out disks and firmware settings
          </Button>
        </>
      }
    >
      {stops
        ? "Its guest shuts down; then it can be cloned. One that does not answer can be forced off."
        : "Its disks are copied while it is stopped. It can also be cloned now without its disks and firmware settings."}
    </Alert>
  );
}

/** The server's rule: what the VM writes to. */
const isCopied = (one: Attachment, medium: Medium | undefined): boolean =>
  !one.readonly && medium?.readonly !== true && medium?.type.toUpperCase() !== "ISO";

function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let number = 2; ; number++) if (!taken.has(`${name}-${number}`)) return `${name}-${number}`;
}
