/** The NICs of hosts that VMs may be bridged to, for who may list them: a permission on any group is enough for all. */
import { useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";

export function useHostNics() {
  const may = useMay();
  const mayList = useObjects("group").some((group) => may("nic.list", group.gid));
  const nics = useAnswer("post", "/v/nic/list", {}, { enabled: mayList }).data?.host_nics ?? [];
  return { mayList, nics };
}
