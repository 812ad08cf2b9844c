/** All of a medium, asked again whenever the stream tells that it has changed. */
import { useEffect, useRef } from "react";
import type { Medium } from "@/api/live";
import { useAnswer } from "@/api/queries";

export function useMediumDetails(medium: Medium) {
  const answer = useAnswer("post", "/m/media", { mid: medium.mid });
  const { refetch } = answer;
  const stamp = `${medium.revision} ${medium.allocated} ${medium.mpid}`;
  const asked = useRef(stamp);
  useEffect(() => {
    if (asked.current === stamp) return;
    asked.current = stamp;
    void refetch({ cancelRefetch: true });
  }, [stamp, refetch]);
  return answer;
}
