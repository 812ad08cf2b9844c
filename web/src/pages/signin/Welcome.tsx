/** The link that the first start prints: it signs in once, and leads to a password of one's own. */
import { Alert, Button, LoginPage } from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { useNavigate, useParams } from "react-router";
import { messageOf } from "@/api/call";
import { session } from "@/api/session";
import { Waiting } from "@/app/App";

export default function Welcome() {
  const { token = "" } = useParams();
  const navigate = useNavigate();
  const [error, setError] = useState<string>();
  const tried = useRef(false);
  useEffect(() => {
    if (tried.current) return; // it opens once
    tried.current = true;
    session.signIn({ link: token }).then(
      () => navigate("/settings", { replace: true }),
      (failure) => setError(messageOf(failure)),
    );
  }, [token, navigate]);
  if (error === undefined) return <Waiting />;
  return (
    <LoginPage loginTitle="This link opens nothing any more" className="v-login">
      <Alert isInline variant="warning" title={error} />
      <Button className="v-space-above" onClick={() => navigate("/", { replace: true })}>
        Sign in with a password
      </Button>
    </LoginPage>
  );
}
