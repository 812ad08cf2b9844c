/** What the VMs that run take: asked for only while something shows it. */
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { useMemo } from "react";
import { call } from "@/api/call";
import { MEASURED_MS } from "@/api/queries";
import { type Usages, usagesOf } from "./usage";

const NONE: Usages = new Map();

export function useUsages(enabled: boolean): Usages {
  const { data } = useQuery({
    queryKey: ["/v/vm/usage"],
    queryFn: () => call("post", "/v/vm/usage", {}),
    enabled,
    refetchInterval: MEASURED_MS,
    refetchIntervalInBackground: false,
    refetchOnWindowFocus: true,
    placeholderData: keepPreviousData,
  });
  return useMemo(() => (enabled && data ? usagesOf(data) : NONE), [enabled, data]);
}
