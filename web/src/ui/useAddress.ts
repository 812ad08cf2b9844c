import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** The parameters of the page's address, and a way to change them without a new entry in the browser's history.
 *
 * A change begins from the address itself: the router's own `before` is that of the last render, so that of two changes
 * in between the first would be lost. https://reactrouter.com/api/hooks/useSearchParams
 */
export function useAddress(): [URLSearchParams, (alter: (now: URLSearchParams) => void) => void] {
  const [params, setParams] = useSearchParams();
  const change = useCallback(
    (alter: (now: URLSearchParams) => void) => {
      const now = new URLSearchParams(location.search);
      alter(now);
      setParams(now, { replace: true });
    },
    [setParams],
  );
  return [params, change];
}
