/** All of a VM, asked again whenever the stream tells that its settings, state, addresses or host have changed. */
import { useEffect, useRef } from "react";
import type { Vm } from "@/api/live";
import { useAnswer } from "@/api/queries";

export function useVmInfo(vm: Vm) {
  const answer = useAnswer("post", "/v/vm", { vmid: vm.vmid });
  const { refetch } = answer;
  const stamp = `${vm.revision} ${vm.state} ${vm.waiting.join()} ${vm.addresses?.join()} ${vm.host?.id}`;
  const asked = useRef(stamp);
  useEffect(() => {
    if (asked.current === stamp) return;
    asked.current = stamp;
    void refetch({ cancelRefetch: true });
  }, [stamp, refetch]);
  return answer;
}
