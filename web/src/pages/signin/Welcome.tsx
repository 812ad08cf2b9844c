/** The link that the first start prints: it signs in once, and leads to a password of one's own. */
import { useEffect, useRef, useState } from "react";
import { at } from "@/api/base";
import { messageOf } from "@/api/http";
import { session } from "@/api/session";
import { First } from "./First";
import { Outside } from "./Outside";

export function Welcome({ word }: { word: string }) {
  const [error, setError] = useState<string>();
  const tried = useRef(false);
  useEffect(() => {
    if (tried.current) return; // it opens once
    tried.current = true;
    session.signIn({ link: word }).then(
      () => goTo("/settings"),
      (failure) => setError(messageOf(failure)),
    );
  }, [word]);
  if (error === undefined) return <First />;
  return (
    <Outside title="This link is no longer valid">
      <p className="v-form-error">{error}</p>
      <p>
        The first start printed the password of root as well. The server's owner can set another while it is not
        running: <code>velocity passwd</code>.
      </p>
      <button type="button" className="v-button" onClick={() => goTo("/")}>
        Sign in with a password
      </button>
    </Outside>
  );
}

/** The link's word stays in no history of the browser. */
function goTo(path: string): void {
  history.replaceState(null, "", at(path));
  dispatchEvent(new PopStateEvent("popstate"));
}
