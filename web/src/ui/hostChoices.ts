/** The hosts to choose from, for those who may see them; none if there is only one. */
import { useAnswer } from "@/api/queries";
import type { Choice } from "./Choose";
import { useGroupsWhere } from "./groups";

/** Undefined: there is no choice. */
export function useHostChoices(wanted = true): Choice[] | undefined {
  const sees = useGroupsWhere("host.view").length > 0;
  const hosts = useAnswer("post", "/h/host", {}, { enabled: sees && wanted }).data?.hosts;
  return hosts?.map((one) => ({
    value: String(one.id),
    label: one.name,
    disabled: one.duty !== "active" || one.unreachable_since !== undefined,
  }));
}
