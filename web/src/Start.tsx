/** Who is signed in decides what is shown. Signing in needs little; the page itself is loaded behind it. */
import { lazy, Suspense, useDeferredValue, useEffect, useSyncExternalStore } from "react";
import { session } from "./api/session";
import { useSignal } from "./api/signal";
import { SignIn } from "./pages/signin/SignIn";
import { Welcome } from "./pages/signin/Welcome";

const load = () => import("./app/App");
const App = lazy(load);

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
    <Suspense fallback={<First />}>
      <App />
    </Suspense>
  );
}

/** As index.html has it: the eye sees no change until there is something to see. */
const First = () => <p className="v-first">Velocity</p>;
