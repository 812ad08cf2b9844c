/** Whether loading takes longer than people wait without a message. */
import { useEffect, useState } from "react";

/** Milliseconds. */
const USUAL = 10_000;

export const LATE = "This takes longer than usual. It is shown as soon as the server has responded.";

/** Whether it does, since this is shown. */
export function useLate(): boolean {
  const [late, setLate] = useState(false);
  useEffect(() => {
    const timer = setTimeout(() => setLate(true), USUAL);
    return () => clearTimeout(timer);
  }, []);
  return late;
}
