/** What is wrong with a host or under way on it, in sentences; nothing if all is well. */
import { useObjects } from "@/api/live";
import type { NodeInfo, TaskInfo } from "@/api/schema";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { hostWords } from "@/ui/texts/words";
import { When } from "@/ui/When";
import { Draining } from "./Draining";
import { Loss } from "./Loss";
import { lastDrain } from "./words";

export const useDrain = (host: NodeInfo): TaskInfo | undefined => lastDrain(host, useObjects("task"));

export const isTroubled = (host: NodeInfo, drain: TaskInfo | undefined): boolean =>
  (drain ?? host.message ?? host.since ?? host.dead ?? host.blocklisted ?? host.missing) !== undefined;

export function Trouble({ host, drain }: { host: NodeInfo; drain: TaskInfo | undefined }) {
  return (
    <>
      {drain && <Draining task={drain} />}
      {host.message !== undefined && <Sentence>{hostWords(host.message, NAMES)}</Sentence>}
      {host.since !== undefined && (
        <>
          {" "}
          It stopped responding <When at={host.since} />.
        </>
      )}
      <Loss host={host} />
    </>
  );
}
