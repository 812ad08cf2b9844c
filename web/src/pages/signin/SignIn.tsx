/** The way in. */
import { LoginPage } from "@patternfly/react-core";
import { useEffect } from "react";
import { SignInForm } from "./SignInForm";

export function SignIn({ reason }: { reason?: string }) {
  useEffect(() => {
    document.title = "Sign in · Velocity";
  }, []);
  return (
    <LoginPage
      loginTitle="Sign in to Velocity"
      textContent="Virtual machines for small teams and homelabs. The first start of the server printed the password of root, and a link that signs in once."
      className="v-login"
    >
      <SignInForm reason={reason} />
    </LoginPage>
  );
}
