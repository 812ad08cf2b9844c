/** How old the copy of the database is that a host keeps, and why it is not newer. */
import type { NodeInfo } from "@/api/schema";
import { capital } from "@/ui/format";
import { Sentence } from "@/ui/Sentence";
import { When } from "@/ui/When";

export function CopyState({ host }: { host: NodeInfo }) {
  return (
    <>
      {host.copied === undefined ? (
        "No copy of the database yet."
      ) : (
        <>
          Copy of the database: <When at={host.copied} />.
        </>
      )}
      {host.copy_message !== undefined && (
        <>
          {" "}
          <Sentence>{`${capital(host.copy_message)}.`}</Sentence>
        </>
      )}
    </>
  );
}
