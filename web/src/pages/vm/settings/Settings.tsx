/** The devices and settings of a VM: edited as a whole, looked over, then saved against the revision that one saw. */
import { ActionGroup, Alert, Button, Form } from "@patternfly/react-core";
import { useRef, useState } from "react";
import { useMay, type Vm } from "@/api/live";
import type { VmInfo } from "@/api/schema";
import { setUnsaved } from "@/api/unsaved";
import { Failed } from "@/ui/Failed";
import { Loading } from "@/ui/Loading";
import { called } from "@/ui/permissions";
import { incomplete, type Refusal, RefusalAlert, tooLarge } from "@/ui/RefusalAlert";
import { useVmInfo } from "../useVmInfo";
import { BootFields } from "./BootFields";
import { CloudInitFields } from "./CloudInitFields";
import { DisplayFields } from "./DisplayFields";
import { changesOf, type Draft, differences, draftOf, type Field, problemsOf, rebased, titleOf } from "./draft";
import { ForwardFields } from "./ForwardFields";
import { GeneralFields } from "./GeneralFields";
import { HardwareFields } from "./HardwareFields";
import { MediaFields } from "./MediaFields";
import { NicFields } from "./NicFields";
import { nicsOf } from "./nicText";
import { Parts } from "./Parts";
import { Review } from "./Review";
import { useFieldOfAddress } from "./useFieldOfAddress";
import { useRoom } from "./useRoom";

/** What was not saved, by vmid: it is still there after a look at another tab. A reload, which loses it, asks first. */
const UNSAVED = new Map<number, { base: VmInfo; draft: Draft }>();

export default function Settings({ vm }: { vm: Vm }) {
  const info = useVmInfo(vm);
  if (info.isError && !info.data)
    return <Failed error={info.error} what="The settings" again={() => void info.refetch()} />;
  if (!info.data) return <Loading />;
  return <Editor vm={vm} now={{ ...info.data, nics: nicsOf(info.data) }} onStale={() => void info.refetch()} />;
}

function Editor({ vm, now, onStale }: { vm: Vm; now: VmInfo; onStale: () => void }) {
  const [edited, setEdited] = useState(() => UNSAVED.get(vm.vmid));
  useFieldOfAddress();
  const [reviewing, setReviewing] = useState(false);
  const [refused, setRefused] = useState<Refusal>();
  const form = useRef<HTMLFormElement>(null);
  const mayAlter = useMay()("vm.alter", vm.gid);
  const base = edited?.base ?? now;
  const draft = edited?.draft ?? draftOf(now);
  const changes = changesOf(base, draft);
  const dirty = Object.keys(changes).length > 0;
  const wrong = problemsOf(draft);
  const room = useRoom(vm, base, draft);
  const problems = { ...room.problems, ...wrong };
  const shown = refused?.field ? { ...problems, [refused.field]: refused.message } : problems;
  const keep = (next: { base: VmInfo; draft: Draft } | undefined) => {
    setEdited(next);
    if (next) UNSAVED.set(vm.vmid, next);
    else UNSAVED.delete(vm.vmid);
    setUnsaved("settings", UNSAVED.size > 0);
  };
  const change = (part: Partial<Draft>) => {
    setRefused(undefined);
    const next = { ...draft, ...part };
    keep(Object.keys(changesOf(base, next)).length > 0 ? { base, draft: next } : undefined);
  };
  const meanwhile = base.revision === now.revision ? [] : (Object.keys(differences(base, now)) as Field[]);
  const fields = { draft, change, problems: shown, disabled: !mayAlter };
  const discard = () => {
    setRefused(undefined);
    keep(undefined);
  };
  return (
    <div className="v-settings-page">
      <Parts draft={draft} />
      <Form
        className="v-settings"
        ref={form}
        onSubmit={(event) => {
          event.preventDefault();
          const sound = Object.keys(problems).length === 0;
          const words = "Correct what is marked.";
          setRefused(sound ? undefined : Object.keys(wrong).length > 0 ? incomplete(words) : tooLarge(words));
          if (sound && mayAlter && dirty && meanwhile.length === 0) setReviewing(true);
        }}
      >
        {!mayAlter && (
          <Alert component="p" isInline variant="info" title="You may only view the settings">
            Changing them needs the permission {called("vm.alter")} on the VM's group.
          </Alert>
        )}
        {meanwhile.length > 0 && (
          <Alert
            component="p"
            isInline
            variant="warning"
            title={`Changed by someone else in the meantime: ${meanwhile.map((field) => titleOf(field)).join(", ")}`}
            actionLinks={
              <>
                <Button variant="link" isInline onClick={() => keep({ base: now, draft: rebased(base, draft, now) })}>
                  Use these changes and keep mine
                </Button>
                <Button variant="link" isInline onClick={discard}>
                  Discard my changes
                </Button>
              </>
            }
          >
            {meanwhile.some((field) => field in changes)
              ? `You have changed ${meanwhile
                  .filter((field) => field in changes)
                  .map((field) => titleOf(field))
                  .join(", ")} as well: keeping yours overwrites theirs.`
              : "Your changes do not affect these settings."}
          </Alert>
        )}
        <GeneralFields
          {...fields}
          left={room.left}
          rosetta={base.rosetta || base.machine_type.startsWith("virt")}
          several={base.host !== undefined}
        />
        <MediaFields {...fields} vmid={vm.vmid} gid={vm.gid} host={base.host} />
        <DisplayFields {...fields} />
        <NicFields {...fields} gid={vm.gid} interfaces={base.interfaces} />
        <ForwardFields {...fields} />
        <HardwareFields {...fields} />
        <BootFields {...fields} gid={vm.gid} />
        <CloudInitFields {...fields} />
        {mayAlter && (
          <div className="v-settings-actions">
            <RefusalAlert refusal={refused} title="It was not saved" form={form} />
            <ActionGroup>
              <Button type="submit" isDisabled={!dirty || meanwhile.length > 0}>
                Review and save…
              </Button>
              <Button variant="link" onClick={discard} isDisabled={!dirty}>
                Undo all
              </Button>
              <span role="status" className="v-subtle">
                {dirty && `Not saved: ${(Object.keys(changes) as Field[]).map((field) => titleOf(field)).join(", ")}`}
              </span>
            </ActionGroup>
          </div>
        )}
        {reviewing && (
          <Review
            vm={vm}
            base={base}
            changes={changes}
            onClose={() => setReviewing(false)}
            onSaved={() => {
              discard();
              setReviewing(false);
              onStale();
            }}
            onRefused={(error) => {
              setReviewing(false);
              setRefused(error);
            }}
            onStale={() => {
              setReviewing(false);
              onStale();
            }}
          />
        )}
      </Form>
    </div>
  );
}
