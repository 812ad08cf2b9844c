/** Shown while a page, or a part of one, is being loaded. */
import { Bullseye, Spinner } from "@patternfly/react-core";

export function Loading() {
  return (
    <Bullseye>
      <Spinner aria-label="Loading" />
    </Bullseye>
  );
}
