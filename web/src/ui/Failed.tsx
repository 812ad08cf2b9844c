/** What could not be read, why, and what to do. */

import { Alert, AlertActionLink, Content } from "@patternfly/react-core";
import { ApiError, messageOf } from "@/api/http";
import { Sentence } from "./Sentence";

export function Failed({ error, what, again }: { error: unknown; what: string; again?: () => void }) {
  return (
    <Alert
      component="p"
      isInline
      variant={error instanceof ApiError && error.status === 403 ? "info" : "danger"}
      title={<Sentence>{`${what} cannot be shown`}</Sentence>}
      actionLinks={again && <AlertActionLink onClick={again}>Try again</AlertActionLink>}
    >
      <Sentence>{messageOf(error)}</Sentence>
      {error instanceof ApiError && error.request && <Content component="small">Request {error.request}</Content>}
    </Alert>
  );
}
