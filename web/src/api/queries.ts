/** What is asked when it is shown (not in the stream), and asked again when the stream tells that it changed. */
import { QueryClient, useQuery } from "@tanstack/react-query";
import { useEffect } from "react";
import { type Answer, type Body, call, type Method } from "./call";
import { live, type Topic } from "./live";
import type { paths } from "./schema";

export const queries = new QueryClient({
  defaultOptions: { queries: { retry: false, staleTime: 0, refetchOnWindowFocus: false, networkMode: "always" } },
});

/** Milliseconds between two measurements of the server: of hosts, and of VMs. */
export const MEASURED_MS = 10_000;

/**
 * The answer of an operation; asked again when one of the topics is told to have changed, and `every` so many
 * milliseconds while the page is in sight.
 */
export function useAnswer<P extends keyof paths, M extends Method>(
  method: M,
  path: P,
  body: Body<P, M>,
  { topics = [], enabled = true, every }: { topics?: Topic[]; enabled?: boolean; every?: number } = {},
) {
  const key = [path, method, body];
  const query = useQuery<Answer<P, M>>({
    queryKey: key,
    queryFn: () => call(method, path, body),
    enabled,
    refetchInterval: every ?? false,
    refetchOnWindowFocus: every !== undefined,
  });
  const topicKey = topics.join();
  useEffect(() => {
    const again = () => void queries.invalidateQueries({ queryKey: [path] });
    const ends = (topicKey ? (topicKey.split(",") as Topic[]) : []).map((topic) => live.subscribe(topic, again));
    return () => {
      for (const end of ends) end();
    };
  }, [path, topicKey]);
  return query;
}
