/** A change of a VM's devices, as an action that says when it takes effect. */
import { call } from "@/api/call";
import type { AlterVm, VmInfo } from "@/api/schema";
import type { Action } from "@/ui/actions";

/** Carries it out; `done` is said with when, where the run cannot take it. */
export function changing(
  info: Pick<VmInfo, "vmid" | "revision">,
  change: Pick<AlterVm, "media" | "drives" | "nics">,
  words: { pending: string; done: string },
): Action<{ waiting: readonly string[] }> {
  return {
    pending: words.pending,
    done: ({ waiting }) => `${words.done}${waiting.some((field) => field in change) ? " at the next start" : ""}`,
    do: () => call("patch", "/v/vm", { vmid: info.vmid, revision: info.revision, ...change }),
  };
}
