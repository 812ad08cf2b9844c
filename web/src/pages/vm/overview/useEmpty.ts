/** Which of a VM's media hold nothing yet. */
import type { Medium } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { isBlank } from "../../media/content";

/**
 * Asked of the first disk: the stream does not tell each time that a guest has written. The others count as the stream
 * has them.
 */
export function useEmpty(media: readonly Medium[]): (mid: string) => boolean {
  const found = media.filter(isBlank);
  const mid = found[0]?.mid ?? "";
  const now = useAnswer("post", "/m/media", { mid }, { enabled: mid !== "" }).data;
  return (wanted) => (now?.mid === wanted ? isBlank(now) : found.some((one) => one.mid === wanted));
}
