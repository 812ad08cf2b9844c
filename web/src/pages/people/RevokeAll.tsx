/** Taking everything that somebody holds directly on a group, in one request. */

import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { PlanSummary } from "@/ui/PlanSummary";
import { groupWord, userWord } from "./commands";
import type { Where, Whom } from "./grants";
import { readMembersAgain } from "./members";

export function RevokeAll({ whom, where, onClose }: { whom: Whom; where: Where; onClose: () => void }) {
  const act = useAction();
  const body = { uid: whom.uid, gid: where.gid };
  return (
    <Confirm
      title={`Revoke all permissions of ${whom.name} on ${where.path}?`}
      verb="Revoke all"
      cli={["velocity", "user", "revoke", userWord(whom.name, whom.uid), "--group", groupWord(where.path, where.gid)]}
      request={{ method: "delete", path: "/u/user/permission", body }}
      onConfirm={async () => {
        const done = await act({
          pending: `Revoking all permissions of ${whom.name} on ${where.path}`,
          done: `${whom.name} no longer has direct permissions on ${where.path}`,
          do: () => call("delete", "/u/user/permission", body),
        });
        await readMembersAgain();
        return done;
      }}
      onClose={onClose}
    >
      <p>Permissions inherited from groups above remain.</p>
      <PlanSummary change={{ method: "delete", path: "/u/user/permission", body }} />
    </Confirm>
  );
}
