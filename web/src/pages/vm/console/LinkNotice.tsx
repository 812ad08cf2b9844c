/** What holds of a console's connection, in one line over its screen; nothing is shown while it is open. */
import { useEffect, useState } from "react";
import { useLate } from "@/ui/late";
import type { LinkState } from "./link";

export function LinkNotice({ state, onNow }: { state: LinkState; onNow: () => void }) {
  const left = useSecondsTo(state.is === "lost" ? state.next : undefined);
  const [tries, setTries] = useState(0);
  const now = () => {
    setTries(tries + 1);
    onNow();
  };
  return (
    <div role="status" className="v-console-link">
      {state.is === "connecting" && <Connecting key={tries} onNow={now} />}
      {state.is === "open" && state.silent && (
        <Late title="Nothing comes from the guest" onNow={now}>
          It may be busy, or the connection is lost.
        </Late>
      )}
      {state.is === "lost" && (
        <div className="v-note v-note-warn">
          <strong>{left > 0 ? `Not connected: reconnecting in ${left} s` : "Not connected: reconnecting"}</strong>
          <span>{state.message}</span>
          <button type="button" className="v-link" onClick={now}>
            Try now
          </button>
        </div>
      )}
      {state.is === "over" && (
        <div className="v-note v-note-bad">
          <strong>This console cannot be opened</strong>
          <span>{state.message}</span>
          <button type="button" className="v-link" onClick={now}>
            Try again
          </button>
        </div>
      )}
    </div>
  );
}

function Connecting({ onNow }: { onNow: () => void }) {
  if (!useLate()) return <div className="v-note v-note-busy">Connecting…</div>;
  return (
    <Late title="Still connecting" onNow={onNow}>
      The server has not responded yet.
    </Late>
  );
}

function Late({ title, onNow, children }: { title: string; onNow: () => void; children: string }) {
  return (
    <div className="v-note v-note-warn">
      <strong>{title}</strong>
      <span>{children}</span>
      <button type="button" className="v-link" onClick={onNow}>
        Try again
      </button>
    </div>
  );
}

/** Seen for a while when a console gets the focus, which takes every key. */
export function WayOut() {
  return (
    <p className="v-console-way">
      Press and release left <kbd>Ctrl</kbd> + <kbd>Alt</kbd> to leave the console.
    </p>
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
