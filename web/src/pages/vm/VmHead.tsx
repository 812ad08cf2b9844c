/** A VM's head: its name, state and what is wrong with it, and what can be done. */
import { Alert } from "@patternfly/react-core";
import { Link } from "react-router";
import { useMay, useObject, type Vm } from "@/api/live";
import { ago, moment } from "@/ui/format";
import { StateLabel, vmProblem } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { waitingWords } from "@/ui/vmSettings";
import { VmActions } from "./VmActions";

export function VmHead({ vm }: { vm: Vm }) {
  const group = useObject("group", vm.gid);
  const wrong = vmProblem(vm) ?? notRunning(vm);
  return (
    <PageHead
      title={vm.name}
      about={
        <>
          <StateLabel state={vm.state} /> in <Link to={`/groups/${vm.gid}`}>{group?.name ?? `group ${vm.gid}`}</Link>
          {vm.reason && !wrong && (
            <span title={moment(vm.reason.since)}>
              {" "}
              · {vm.reason.message} ({ago(vm.reason.since)})
            </span>
          )}
        </>
      }
      actions={<VmActions vm={vm} />}
    >
      {wrong && (
        <Alert
          component="p"
          isInline
          variant={vm.unreachable_since === undefined ? "warning" : "danger"}
          title={wrong}
          className="v-space-above"
        >
          {vm.reason && `Since ${moment(vm.reason.since)}`}
        </Alert>
      )}
      <Stopping vm={vm} />
      <Waits vm={vm} />
    </PageHead>
  );
}

/** PendingAction for, and not so, for a reason that nobody has told. */
function notRunning(vm: Vm): string | undefined {
  return vm.state === "STOPPED" && vm.wanted !== "STOPPED" ? `Requested ${vm.wanted}, but not running.` : undefined;
}

function Stopping({ vm }: { vm: Vm }) {
  if (vm.state !== "STOPPING" || vm.stopping_since === undefined) return null;
  return (
    <Alert
      component="p"
      isInline
      variant="info"
      title={`The power button was pressed ${ago(vm.stopping_since)}`}
      className="v-space-above"
    >
      The guest shuts down by itself. If it does not react, force it off.
    </Alert>
  );
}

function Waits({ vm }: { vm: Vm }) {
  const may = useMay();
  if (vm.waiting.length === 0) return null;
  return (
    <Alert
      component="p"
      isInline
      variant="info"
      title={`Takes effect at the next start: ${waitingWords(vm.waiting)}`}
      className="v-space-above"
    >
      {may("vm.state", vm.gid) &&
        "A restart inside the guest is not enough: stop and start it, or use Restart in the menu above."}
    </Alert>
  );
}
