/** The answer to a form that was not accepted: beside the button that was pressed, with the focus on the field at fault. */

import { Alert, Content } from "@patternfly/react-core";
import { type RefObject, useEffect } from "react";
import { focusFault } from "./faults";
import { Sentence } from "./Sentence";

export interface Refusal {
  field?: string;
  message: string;
  request?: string;
  /** The page's own answer: nothing was sent. */
  early?: boolean;
}

/** A new one each time that the button is pressed, so that the focus moves each time. */
export const incomplete = (message = "Fill in what is missing, and correct what is marked."): Refusal => ({
  message,
  early: true,
});

/** Stands outside whatever scrolls. `form` has the fields. */
export function RefusalAlert({
  refusal,
  title = "The server refused it",
  form,
}: {
  refusal: Refusal | undefined;
  title?: string;
  form: RefObject<HTMLElement | null>;
}) {
  useEffect(() => {
    if (!refusal) return;
    // a dialog that closes gives the focus back first
    const timer = setTimeout(() => form.current && focusFault(form.current), 50);
    return () => clearTimeout(timer);
  }, [refusal, form]);
  return (
    <div role="alert" className="v-refusal">
      {refusal && (
        <Alert
          component="p"
          isInline
          variant={refusal.early ? "warning" : "danger"}
          title={refusal.early ? "Not complete yet" : title}
        >
          <Sentence>{refusal.message}</Sentence>
          {refusal.request && <Content component="small">Request {refusal.request}</Content>}
        </Alert>
      )}
    </div>
  );
}
