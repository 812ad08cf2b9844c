/** A change of a VM's media, as an action that says when it takes effect. */
import { call } from "@/api/call";
import type { VmInfo } from "@/api/schema";
import type { Action } from "@/ui/actions";
import type { Change } from "./drives";

/** Carries it out; `done` is said with when, where the run cannot take it. */
export function changing(
  info: Pick<VmInfo, "vmid" | "revision">,
  change: Change,
  words: { pending: string; done: string },
): Action<{ waiting: readonly string[] }> {
  return {
    pending: words.pending,
    done: ({ waiting }) => `${words.done}${waiting.includes("media") ? " at the next start" : ""}`,
    do: () => call("patch", "/v/vm", { vmid: info.vmid, revision: info.revision, ...change }),
  };
}
