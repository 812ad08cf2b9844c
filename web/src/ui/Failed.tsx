/** What could not be read, why, and what to do. */
import { Alert, AlertActionLink, Content } from "@patternfly/react-core";
import { ApiError, messageOf } from "@/api/http";

export function Failed({ error, what, again }: { error: unknown; what: string; again?: () => void }) {
  return (
    <Alert
      component="p"
      isInline
      variant={error instanceof ApiError && error.status === 403 ? "info" : "danger"}
      title={`${what} cannot be shown`}
      actionLinks={again && <AlertActionLink onClick={again}>Try again</AlertActionLink>}
    >
      {messageOf(error)}
      {error instanceof ApiError && error.request && <Content component="small">Request {error.request}</Content>}
    </Alert>
  );
}
