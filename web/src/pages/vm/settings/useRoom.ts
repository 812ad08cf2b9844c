/** What the quotas leave for a larger VM, as far as one may see it, and what is too much. */
import { useMay, type Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { VmInfo } from "@/api/schema";
import { memoryMib } from "@/ui/amounts";
import { count, mib } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { leftWords, quotaProblem } from "@/ui/vmQuota";
import { useWhoGivesMore } from "@/ui/WhoGivesMore";
import type { Draft } from "./draft";

export interface Room {
  problems: Record<string, string>;
  left: { cpus?: string | undefined; memory?: string | undefined };
}

export function useRoom(vm: Vm, base: VmInfo, draft: Draft): Room {
  const sees = useMay()("group.view", vm.gid);
  const path = useGroupPath()(vm.gid);
  const ask = useWhoGivesMore(vm.gid, "set_quota");
  const { data } = useAnswer("post", "/u/group/quota", { gid: vm.gid }, { topics: ["quota"], enabled: sees });
  if (!data) return { problems: {}, left: {} };
  const cpus = (draft.cpus || base.cpus) - base.cpus;
  const memory = (memoryMib(draft.memory) ?? base.memory_mib) - base.memory_mib;
  const quota = { ...data, path, ask };
  const problems: Record<string, string> = {};
  // while a change waits for the next start, the run counts as well: only the server knows what is added then
  const note = (name: "cpus" | "memory_mib", more: number) => {
    const problem = more > 0 && !vm.waiting.includes(name) ? quotaProblem(name, more, quota, true) : undefined;
    if (problem) problems[name] = problem;
  };
  note("cpus", cpus);
  note("memory_mib", memory);
  return {
    problems,
    left: {
      cpus: leftWords(data.left.cpus, cpus, (amount) => count(amount, "CPU")),
      memory: leftWords(data.left.memory_mib, memory, mib),
    },
  };
}
