/** Where the page of a host is, for whom the navigation leads to the hosts; undefined for others. */
import { useCallback } from "react";
import { useMay } from "@/api/live";

export function useHostPath(): (id: number) => string | undefined {
  const manages = useMay()("node.manage", 0);
  return useCallback((id) => (manages ? `/hosts/${id}` : undefined), [manages]);
}
