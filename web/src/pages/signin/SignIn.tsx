/** The way in. */
import { useEffect } from "react";
import { Outside } from "./Outside";
import { SignInForm } from "./SignInForm";

export function SignIn({ reason, onTyping }: { reason?: string; onTyping: () => void }) {
  useEffect(() => {
    document.title = "Sign in · Velocity";
  }, []);
  return (
    <Outside
      title="Sign in to Velocity"
      about={
        <details>
          <summary>First time here?</summary>
          <p>At its first start, the server printed the password of root and a link that signs in once.</p>
        </details>
      }
    >
      <p className="v-outside-host">{location.host}</p>
      <SignInForm reason={reason} onTyping={onTyping} />
    </Outside>
  );
}
