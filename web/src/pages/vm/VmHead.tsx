/** A VM's head: its name and state, what can be done, and, in a line each, what is wrong with it or waits. */

import type { ReactNode } from "react";
import { Link } from "react-router";
import { type Medium, useMay, type Vm } from "@/api/live";
import { useAttachable } from "@/ui/attachable";
import { moment } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { HostName } from "@/ui/HostName";
import { StateLabel, type Tone, vmProblem } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { withMediaNames } from "@/ui/texts/words";
import { waitingWords } from "@/ui/vmSettings";
import { When } from "@/ui/When";
import { Frozen } from "./Frozen";
import { OnItsWay } from "./OnItsWay";
import { VmActions } from "./VmActions";

export function VmHead({ vm, children }: { vm: Vm; children: ReactNode }) {
  const path = useGroupPath();
  return (
    <PageHead
      title={vm.name}
      trail={[{ to: "/vms", title: "Virtual machines" }]}
      status={<StateLabel vm={vm} />}
      about={
        <>
          in <Link to={`/groups/${vm.gid}`}>{path(vm.gid)}</Link>
          {vm.reason && !problemOf(vm) && (
            <span title={moment(vm.reason.since)}>
              {" "}
              · <Sentence>{withMediaNames(vm.reason.message, NAMES)}</Sentence>, <When at={vm.reason.since} />
            </span>
          )}
        </>
      }
      actions={<VmActions vm={vm} />}
    >
      {children}
      <VmNotes vm={vm} />
    </PageHead>
  );
}

/** What is wrong, or awaited: one line for each. */
export function VmNotes({ vm }: { vm: Vm }) {
  const may = useMay();
  const wrong = problemOf(vm);
  const known = useAttachable(vm.gid);
  return (
    <>
      {wrong && (
        <Note tone={vm.unreachable_since === undefined ? "warn" : "bad"} title={<Sentence>{wrong}</Sentence>}>
          {(vm.unreachable_since ?? vm.reason?.since) !== undefined && (
            <>
              Since <When at={vm.unreachable_since ?? vm.reason?.since ?? 0} />
              {vm.unreachable_since !== undefined && vm.host && (
                <>
                  , on host <HostName host={vm.host} />
                </>
              )}
            </>
          )}
        </Note>
      )}
      {vm.state === "STOPPING" && vm.stopping_since !== undefined && (
        <Note
          tone="busy"
          title={
            <>
              The power button was pressed <When at={vm.stopping_since} />.
            </>
          }
        >
          {vm.restarting
            ? "Once the guest has shut down, the server starts it again."
            : "The guest was asked to shut down."}{" "}
          If it does not react, press its power button again, or force it off.
        </Note>
      )}
      {vm.moving && <OnItsWay vm={vm} moving={vm.moving} />}
      {vm.frozen_until !== undefined && <Frozen vm={vm} until={vm.frozen_until} />}
      {vm.next_boot && (
        <Note tone="busy" title={<Sentence>{`Next start: ${nextBootWords(vm.next_boot, known)}`}</Sentence>}>
          Once. After that, the normal boot order applies.
        </Note>
      )}
      {vm.waiting.length > 0 && (
        <Note tone="busy" title={`Takes effect at the next start: ${waitingWords(vm.waiting)}`}>
          {may("vm.state", vm.gid) && "A restart inside the guest is not enough: use Restart in the menu above."}
        </Note>
      )}
    </>
  );
}

function Note({ tone, title, children }: { tone: Tone; title: ReactNode; children?: ReactNode }) {
  return (
    <div className={`v-note v-note-${tone}`}>
      <strong>{title}</strong>
      {children && <span>{children}</span>}
    </div>
  );
}

function nextBootWords({ mid, nic }: NonNullable<Vm["next_boot"]>, known: readonly Medium[]): string {
  if (mid !== undefined) return `boots from ${known.find((one) => one.mid === mid)?.name ?? "another medium"}`;
  return nic === undefined ? "firmware setup" : "network boot";
}

/** Also: asked for, and not so, for a reason that nobody has told. */
function problemOf(vm: Vm): string | undefined {
  const silent = vm.state === "STOPPED" && vm.wanted !== "STOPPED";
  const known = vmProblem(vm);
  if (known !== undefined) return withMediaNames(known, NAMES);
  return silent ? `Should be ${vm.wanted.toLowerCase()}, but is not.` : undefined;
}
