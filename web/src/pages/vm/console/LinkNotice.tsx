/** What holds of a console's connection, said calmly; nothing is shown while it is open. */
import { Alert, AlertActionLink } from "@patternfly/react-core";
import { useEffect, useState } from "react";
import type { LinkState } from "./link";

export function LinkNotice({ state, onNow }: { state: LinkState; onNow: () => void }) {
  const left = useSecondsTo(state.is === "lost" ? state.next : undefined);
  return (
    <div role="status" className="v-console-notice">
      {state.is === "connecting" && <Alert component="p" isInline isPlain variant="info" title="Connecting…" />}
      {state.is === "lost" && (
        <Alert
          component="p"
          isInline
          variant="warning"
          title={left > 0 ? `Not connected: reconnecting in ${left} s` : "Not connected: reconnecting"}
          actionLinks={<AlertActionLink onClick={onNow}>Try now</AlertActionLink>}
        >
          {state.message}
        </Alert>
      )}
      {state.is === "over" && (
        <Alert
          component="p"
          isInline
          variant="danger"
          title="This console cannot be opened"
          actionLinks={<AlertActionLink onClick={onNow}>Try again</AlertActionLink>}
        >
          {state.message}
        </Alert>
      )}
    </div>
  );
}

function useSecondsTo(moment: number | undefined): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (moment === undefined) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 500);
    return () => clearInterval(timer);
  }, [moment]);
  return moment === undefined ? 0 : Math.max(0, Math.round((moment - now) / 1000));
}
