/** Whom to ask if a quota is used up: those who may set it, as far as the user sees them. */
import { useAnswer } from "@/api/queries";

const MOST = 3;

/** "For more, ask root."; empty: one may raise it oneself, or sees nobody who may. */
export function useWhoGivesMore(gid: number, operation: "set_quota" | "assign_pool"): string {
  const { data } = useAnswer("post", "/u/why", { operation, gid });
  const names = data?.ask?.map((one) => one.name) ?? [];
  if (!data || data.allowed || names.length === 0) return "";
  return `For more, ask ${names.slice(0, MOST).join(" or ")}.`;
}

export function WhoGivesMore({ gid }: { gid: number }) {
  const words = useWhoGivesMore(gid, "set_quota");
  return words ? <small className="v-subtle">{words}</small> : null;
}
