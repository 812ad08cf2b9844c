/** The hosts that the server controls, and how busy they are. */
import { useEffect, useMemo } from "react";
import { useObjects } from "@/api/live";
import { MEASURED_MS, useAnswer } from "@/api/queries";
import type { NodeInfo } from "@/api/schema";

/** Asked again when one of them has changed, and when VMs have come, gone or moved: the stream tells that of the VMs. */
export function useHosts() {
  const asked = useAnswer("post", "/h/node/list", {}, { topics: ["host"] });
  const { refetch } = asked;
  const vms = useObjects("vm");
  const shares = useMemo(() => {
    const found = new Map<number, number>();
    for (const { host } of vms) if (host) found.set(host.id, (found.get(host.id) ?? 0) + 1);
    return JSON.stringify([...found].sort());
  }, [vms]);
  useEffect(() => {
    if (shares) void refetch();
  }, [shares, refetch]);
  return asked;
}

/** Percent of all of a host's CPUs; undefined: not measured. */
export type CpuUse = (host: NodeInfo) => number | undefined;

export function useCpuUse(): CpuUse {
  const { data } = useAnswer("post", "/h/host", {}, { every: MEASURED_MS });
  return useMemo(() => {
    const uses = new Map(data?.hosts?.map((one) => [one.id, one.cpu_use]));
    // where there is one host, the answer is about that alone
    return ({ host, own }) => (data?.hosts || !own ? uses.get(host) : data?.cpu_use);
  }, [data]);
}
