/** Removing a user: what would be done is shown first; it cannot be undone. */

import { call } from "@/api/call";
import { useAction } from "@/ui/actions";
import { Confirm } from "@/ui/Confirm";
import { PlanSummary } from "@/ui/PlanSummary";
import { userWord } from "./commands";
import type { Whom } from "./grants";
import { readMembersAgain } from "./members";

export function RemoveUser({ whom, onDone, onClose }: { whom: Whom; onDone?: () => void; onClose: () => void }) {
  const act = useAction();
  const body = { uid: whom.uid };
  return (
    <Confirm
      title={`Remove the user ${whom.name}?`}
      verb="Remove"
      cli={["velocity", "user", "rm", userWord(whom.name, whom.uid)]}
      request={{ method: "delete", path: "/u/user", body }}
      onConfirm={async () => {
        const done = await act({
          pending: `Removing the user ${whom.name}`,
          done: `User ${whom.name} removed`,
          do: () => call("delete", "/u/user", body),
        });
        if (done) {
          onDone?.();
          void readMembersAgain();
        }
        return done;
      }}
      onClose={onClose}
    >
      <p>
        All sessions and permissions of <bdi>{whom.name}</bdi> end. VMs and media belong to groups and remain. A user is
        not put into the trash.
      </p>
      <PlanSummary change={{ method: "delete", path: "/u/user", body }} />
    </Confirm>
  );
}
