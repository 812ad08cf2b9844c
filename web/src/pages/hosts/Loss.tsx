/** What is known of a host's being lost: what is missing before its VMs start elsewhere, or who has proven it. */
import type { NodeInfo } from "@/api/schema";
import { capital } from "@/ui/format";
import { Sentence } from "@/ui/Sentence";
import { NAMES } from "@/ui/texts/names";
import { hostWords } from "@/ui/texts/words";
import { When } from "@/ui/When";

export function Loss({ host }: { host: NodeInfo }) {
  if (host.dead)
    return (
      <small className="v-subtle v-words">
        <br />
        Confirmed dead <When at={host.dead.at} /> by <bdi>{host.dead.by}</bdi>. Its VMs can start elsewhere.
      </small>
    );
  return (
    <>
      {host.blocklisted && (
        <small className="v-subtle v-words">
          <br />
          Blocklisted on Ceph <When at={host.blocklisted.at} /> by <bdi>{host.blocklisted.by}</bdi>.
          {host.blocklisted.message && <Sentence>{` Still so: ${host.blocklisted.message}.`}</Sentence>}
        </small>
      )}
      {host.missing !== undefined && (
        <small className="v-subtle v-words">
          <br />
          <Sentence>{capital(hostWords(host.missing, NAMES))}</Sentence>
        </small>
      )}
    </>
  );
}
