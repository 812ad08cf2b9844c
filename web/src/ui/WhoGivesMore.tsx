/** Whom to ask if a quota is used up: those who may set it, as far as the user sees them. */
import { useAnswer } from "@/api/queries";

const MOST = 3;

export function WhoGivesMore({ gid }: { gid: number }) {
  const { data } = useAnswer("post", "/u/why", { operation: "set_quota", gid });
  const names = data?.ask?.map((one) => one.name) ?? [];
  if (!data || data.allowed || names.length === 0) return null;
  return <small className="v-subtle">For more, ask {names.slice(0, MOST).join(" or ")}.</small>;
}
