/** The way in. */
import { useEffect } from "react";
import { Outside } from "./Outside";
import { SignInForm } from "./SignInForm";

export function SignIn({ reason }: { reason?: string }) {
  useEffect(() => {
    document.title = "Sign in · Velocity";
  }, []);
  return (
    <Outside
      title="Sign in to Velocity"
      about="Virtual machines for small teams and homelabs. At its first start, the server printed the password of root and a link that signs in once."
    >
      <SignInForm reason={reason} />
    </Outside>
  );
}
