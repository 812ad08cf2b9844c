/** A medium becomes one more disk or ISO of a VM, also while that runs. */
import { FormGroup, FormSelect, FormSelectOption, TextInput } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { type Medium, useMay, useObjects, usePools, type Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { useAction } from "@/ui/actions";
import { Failed } from "@/ui/Failed";
import { FormDialog, Hint, useRefusal } from "@/ui/FormDialog";
import { useGroupPath } from "@/ui/groups";
import { isOn } from "@/ui/hosts";
import { word } from "@/ui/labels";
import { vmCli } from "@/ui/vmCli";
import { AttachedAs, useAttachment } from "../vm/overview/AttachedAs";
import { changing } from "../vm/overview/changing";
import { attached } from "../vm/overview/drives";

const FIELDS = ["media", "revision"];
/** Of more VMs one is looked for by its name. */
const MOST = 50;

export function AttachToVm({ medium, onClose }: { medium: Medium; onClose: () => void }) {
  const vms = useOffered(medium);
  const path = useGroupPath();
  const act = useAction();
  const refused = useRefusal(FIELDS);
  const [words, setWords] = useState("");
  const [vmid, setVmid] = useState<number>();
  const vm = vms.find((one) => one.vmid === vmid);
  const info = useAnswer("post", "/v/vm", { vmid: vmid ?? 0 }, { enabled: vm !== undefined });
  const attachment = useAttachment(medium, vmid ?? 0);
  const named = words.toLowerCase();
  const found = vms.filter((one) => one.vmid === vmid || one.name.toLowerCase().includes(named));
  const shown = found.slice(0, MOST).sort(nearFirst(medium)); // of thousands, to sort all would hold up the page
  const change = attached(info.data ?? { media: [], drives: [] }, attachment.one);
  const submit = async () => {
    if (!info.data) return false;
    const { do: request, ...told } = changing(info.data, change, {
      pending: `Attaching ${medium.name} to ${info.data.name}`,
      done: `${medium.name} attached to ${info.data.name}`,
    });
    const done = await act({ ...told, do: () => refused.during(request) });
    if (!done) void info.refetch(); // it may have another revision by now
    return done;
  };
  return (
    <FormDialog
      title={`Attach ${medium.name} to a VM`}
      verb="Attach"
      ready={vm !== undefined && info.data !== undefined}
      missing={vms.length === 0 ? "There is no VM that can have it and that you may change." : undefined}
      refusal={refused.last}
      cli={vm && vmCli({ ...vm, path: path(vm.gid) }, "attach", attachment.word)}
      request={{ method: "patch", path: "/v/vm", body: { vmid: vmid ?? "VMID", ...change } }}
      onSubmit={submit}
      onClose={onClose}
    >
      {vms.length > MOST && (
        <FormGroup label="Find a VM" fieldId="attach-find">
          <TextInput id="attach-find" type="search" value={words} onChange={(_event, typed) => setWords(typed)} />
        </FormGroup>
      )}
      <FormGroup label="VM" fieldId="attach-vm" isRequired>
        <FormSelect
          id="attach-vm"
          value={vmid ?? ""}
          isDisabled={vms.length === 0}
          validated={refused.at("media") ? "error" : "default"}
          onChange={(_event, chosen) => setVmid(Number(chosen))}
        >
          <FormSelectOption
            value=""
            label={vms.length > 0 ? "Choose one" : "No VM can have it"}
            isPlaceholder
            isDisabled
          />
          {shown.map((one) => (
            <FormSelectOption
              key={one.vmid}
              value={one.vmid}
              label={`${one.name} (${path(one.gid)}, ${word(one.state).toLowerCase()})`}
            />
          ))}
        </FormSelect>
        <Hint wrong={refused.at("media") ?? refused.at("revision")}>
          {found.length > MOST && `${MOST} of ${found.length.toLocaleString()}: type more of its name.`}
        </Hint>
      </FormGroup>
      {info.isError && <Failed error={info.error} what="The VM" again={() => void info.refetch()} />}
      <AttachedAs {...attachment} />
    </FormDialog>
  );
}

/** Those of its group come first, and else by name. */
const nearFirst =
  ({ gid }: Medium) =>
  (a: Vm, b: Vm) =>
    Number(a.gid !== gid) - Number(b.gid !== gid) || a.name.localeCompare(b.name, undefined, { numeric: true });

/** The VMs that the caller may change, that do not have it, and whose host has its pool: those of its group first. */
function useOffered(medium: Medium): readonly Vm[] {
  const vms = useObjects("vm");
  const may = useMay();
  const pool = usePools().find((one) => one.mpid === medium.mpid);
  return useMemo(() => {
    const can = (vm: Vm) =>
      may("vm.alter", vm.gid) && !vm.media.includes(medium.mid) && (!vm.host || isOn(pool, String(vm.host.id)));
    const offered = vms.filter(can);
    const isNear = (vm: Vm) => vm.gid === medium.gid;
    return [...offered.filter(isNear), ...offered.filter((vm) => !isNear(vm))];
  }, [vms, may, pool, medium]);
}
