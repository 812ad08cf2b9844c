/** Deleting a group: everything that would go with it is shown first, and what runs is ended only if one says so. */
import { Alert, Checkbox, Content, FormGroup, Radio, Skeleton, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { call } from "@/api/call";
import { ApiError } from "@/api/http";
import { type Group, useObjects } from "@/api/live";
import { useAction } from "@/ui/actions";
import { FormDialog } from "@/ui/FormDialog";
import { count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { Refused, Steps, usePlan } from "@/ui/PlanSummary";
import { undoOf } from "@/ui/restore";
import { summed } from "@/ui/steps";
import { groupWord } from "./commands";
import { within } from "./tree";

const RUNS = 5321;

export function DeleteGroup({ group, onDone, onClose }: { group: Group; onDone: () => void; onClose: () => void }) {
  const act = useAction();
  const path = useGroupPath()(group.gid);
  const groups = useObjects("group");
  const vms = useObjects("vm");
  const below = within(groups, group.gid);
  const running = vms.filter((vm) => below.has(vm.gid) && vm.state !== "STOPPED");
  const [force, setForce] = useState(false);
  const [purge, setPurge] = useState(false);
  const [typed, setTyped] = useState("");
  const body = { gid: group.gid, ...(force ? { force } : {}), ...(purge ? { purge } : {}) };
  const { data, error, isPending, refetch } = usePlan({ method: "delete", path: "/u/group", body });
  const runs = error instanceof ApiError && error.code === RUNS;
  return (
    <FormDialog
      danger
      title={`Delete the group ${path}?`}
      verb={purge ? "Delete permanently" : "Delete"}
      ready={data !== undefined && (!purge || typed === group.name)}
      missing={data && `Type the name of the group, ${group.name}, to delete it permanently.`}
      cli={[
        ...["velocity", "group", "rm", groupWord(path, group.gid)],
        ...(force ? ["--force"] : []),
        ...(purge ? ["--purge"] : []),
      ]}
      request={{ method: "delete", path: "/u/group", body }}
      onSubmit={async () => {
        const done = await act({
          pending: `Deleting the group ${path}`,
          done: purge ? `Group ${path} deleted permanently` : `Group ${path} moved to the trash`,
          do: () => call("delete", "/u/group", body),
          offer: purge ? undefined : undoOf("group", [group.gid]),
        });
        if (done) onDone();
        else void refetch();
        return done;
      }}
      onClose={onClose}
    >
      <FormGroup role="radiogroup" label="How to delete it" fieldId="delete-how">
        <Radio
          id="delete-trash"
          name="delete-how"
          label="Move to the trash"
          description="It can be restored, with everything in it, until the trash is emptied."
          isChecked={!purge}
          onChange={() => setPurge(false)}
        />
        <Radio
          id="delete-purge"
          name="delete-how"
          label="Delete permanently"
          description="Nothing can be restored."
          isChecked={purge}
          onChange={() => setPurge(true)}
        />
      </FormGroup>
      {(running.length > 0 || runs || force) && (
        <Checkbox
          id="delete-force"
          label={
            running.length > 0
              ? `Power off ${count(running.length, "VM")} that ${running.length === 1 ? "is" : "are"} not stopped`
              : "Power off its VMs that are not stopped"
          }
          description="Data that they have not written is lost."
          isChecked={force}
          onChange={(_event, on) => setForce(on)}
        />
      )}
      {runs ? (
        <Alert component="p" isInline variant="warning" title="One of its VMs is not stopped">
          Stop{" "}
          {running.length > 0
            ? running
                .slice(0, 5)
                .map((vm) => vm.name)
                .join(", ")
            : "it"}
          {running.length > 5 && ` and ${running.length - 5} more`} first, or power them off.
        </Alert>
      ) : error ? (
        <Refused error={error} />
      ) : isPending ? (
        <Skeleton height="4rem" screenreaderText="Checking what would be deleted" />
      ) : (
        data && (
          <>
            <Content component="p">
              {purge ? "Deleted permanently" : "Moved to the trash"}: <strong>{summed(data)}</strong>.
            </Content>
            <Steps plan={data} />
          </>
        )
      )}
      {purge && (
        <FormGroup label={`Type the name of the group: ${group.name}`} fieldId="delete-name" isRequired>
          <TextInput id="delete-name" value={typed} autoComplete="off" onChange={(_event, value) => setTyped(value)} />
        </FormGroup>
      )}
    </FormDialog>
  );
}
