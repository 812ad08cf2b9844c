/** The link that the first start prints: it signs in once, and leads to a password of one's own. */
import { Alert, Button } from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { messageOf } from "@/api/http";
import { session } from "@/api/session";
import { Loading } from "@/ui/Loading";
import { Outside } from "./Outside";

export default function Welcome({ word }: { word: string }) {
  const navigate = useNavigate();
  const [error, setError] = useState<string>();
  const tried = useRef(false);
  useEffect(() => {
    if (tried.current) return; // it opens once
    tried.current = true;
    session.signIn({ link: word }).then(
      () => navigate("/settings", { replace: true }),
      (failure) => setError(messageOf(failure)),
    );
  }, [word, navigate]);
  if (error === undefined) return <Loading />;
  return (
    <Outside title="This link is no longer valid">
      <Alert component="p" isInline variant="warning" title={error}>
        The first start printed the password of root as well. The server's owner can set another while it is not
        running: <code>velocity passwd</code>.
      </Alert>
      <Button className="v-space-above" onClick={() => navigate("/", { replace: true })}>
        Sign in with a password
      </Button>
    </Outside>
  );
}
