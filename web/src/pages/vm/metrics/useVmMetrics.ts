/** What a VM takes: measured by the server, and asked for again while it is looked at. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { call } from "@/api/call";
import type { VmMetrics } from "@/api/schema";
import { EVERY, type Span } from "./spans";

export function useVmMetrics(vmid: number, span: Span, enabled = true) {
  return useQuery<VmMetrics>({
    queryKey: ["/v/vm/metrics", vmid, span],
    queryFn: () => call("post", "/v/vm/metrics", { vmid, span }),
    enabled,
    refetchInterval: EVERY[span],
    refetchIntervalInBackground: false,
    refetchOnWindowFocus: true,
    placeholderData: keepPreviousData,
  });
}
