/** Who is signed in decides what is shown. Signing in needs little; the page itself is loaded behind it. */
import { Component, type ReactNode, Suspense, useDeferredValue, useEffect, useSyncExternalStore } from "react";
import { session } from "./api/session";
import { useSignal } from "./api/signal";
import { First, Reloads } from "./pages/signin/First";
import { SignIn } from "./pages/signin/SignIn";
import { Welcome } from "./pages/signin/Welcome";
import { part } from "./ui/part";
import { TOLD, useRenewal } from "./ui/renewal";

const load = () => import("./app/App");
const App = part(load);

/** The word of the first sign-in stands behind the #: browsers send that to no server. */
const WORD = /^#\/welcome\/(.+)$/;

export function Start() {
  const word = WORD.exec(useSyncExternalStore(watchHash, () => location.hash))?.[1];
  return word === undefined ? <Asked /> : <Welcome word={word} />;
}

function watchHash(tell: () => void): () => void {
  const kinds = ["hashchange", "popstate"];
  for (const kind of kinds) addEventListener(kind, tell);
  return () => {
    for (const kind of kinds) removeEventListener(kind, tell);
  };
}

function Asked() {
  const state = useDeferredValue(useSignal(session.state)); // the frame is made in slices, so that nothing waits for it
  useEffect(() => {
    if (session.state.value.is === "looking")
      session.begin().catch(() => session.state.set({ is: "out", reason: "The server does not respond." }));
  }, []);
  if (state.is === "looking") return <First />;
  if (state.is === "out") return <SignIn reason={state.reason} onTyping={() => void load().catch(() => undefined)} />;
  return (
    <Whole>
      <Suspense fallback={<First />}>
        <App />
      </Suspense>
    </Whole>
  );
}

/** Without the page behind it there is nothing else that could say so. */
class Whole extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };

  static getDerivedStateFromError() {
    return { failed: true };
  }

  override render() {
    return this.state.failed ? <Absent /> : this.props.children;
  }
}

function Absent() {
  const { title, body } = TOLD[useRenewal()];
  return <Reloads title={title}>{body}</Reloads>;
}
