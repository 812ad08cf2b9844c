/** Shown while a page or a part of one is loaded. After a while it says so, and offers an alternative. */
import {
  Bullseye,
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Spinner,
} from "@patternfly/react-core";
import { LATE, useLate } from "./late";

export function Loading() {
  const late = useLate();
  if (!late)
    return (
      <Bullseye>
        <Spinner aria-label="Loading" />
      </Bullseye>
    );
  return (
    <EmptyState headingLevel="h2" titleText="Still loading" icon={LateSpinner} variant="sm">
      <EmptyStateBody>{LATE}</EmptyStateBody>
      <EmptyStateFooter>
        <EmptyStateActions>
          <Button variant="secondary" onClick={() => location.reload()}>
            Reload the page
          </Button>
        </EmptyStateActions>
      </EmptyStateFooter>
    </EmptyState>
  );
}

const LateSpinner = () => <Spinner size="lg" aria-label="Loading" />;
