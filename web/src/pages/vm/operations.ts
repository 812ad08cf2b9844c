/** What the history's operations are called where people read them. */
import type { Entry } from "@/api/schema";

const OPERATIONS: Record<string, string> = {
  create_vm: "Created it",
  alter_vm: "Changed its settings",
  restart_vm: "Restarted it",
  delete_vm: "Deleted it",
  open_console: "Opened a console",
  restore: "Restored it from the trash",
  purge: "Deleted it permanently",
};
const STATES: Record<string, string> = { RUNNING: "Started or resumed it", PAUSED: "Paused it", STOPPED: "Stopped it" };

export function operationWords({ operation, target }: Pick<Entry, "operation" | "target">): string {
  if (operation === "set_vm_state") {
    const state = /\bstate=(\w+)/.exec(target)?.[1] ?? "";
    return STATES[state] ?? "Requested a state";
  }
  return OPERATIONS[operation] ?? operation.replaceAll("_", " ");
}
