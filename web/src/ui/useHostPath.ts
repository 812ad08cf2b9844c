/** Where the page of a host is; undefined for people who may not see hosts. */
import { useCallback } from "react";
import { useGroupsWhere } from "./groups";

export function useHostPath(): (id: number) => string | undefined {
  const sees = useGroupsWhere("host.view").length > 0;
  return useCallback((id) => (sees ? `/hosts/${id}` : undefined), [sees]);
}
