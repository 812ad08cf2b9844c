/** The refusal of a form: beside its button, with the focus on the wrong field. */

import { Alert, Content } from "@patternfly/react-core";
import { type RefObject, useEffect } from "react";
import { focusFault } from "./faults";
import { Sentence } from "./Sentence";

export interface Refusal {
  field?: string;
  message: string;
  request?: string;
  /** The page's own refusal: nothing was sent. */
  early?: boolean;
  /** Of the page's own: what it is about, unless something is missing. */
  title?: string;
  /** No server answered: nobody has refused it. */
  unanswered?: boolean;
}

/** New each time the button is pressed, so that the focus moves each time. */
export const incomplete = (message = "Fill in what is missing, and correct what is marked."): Refusal => ({
  message,
  early: true,
});

/** All is filled in, and a quota or a pool has no room for it. */
export const tooLarge = (message: string): Refusal => ({ message, early: true, title: "Not enough room" });

/** Outside of anything that scrolls. `form` contains the fields. */
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
          title={refusal.early ? (refusal.title ?? "Not complete yet") : refusal.unanswered ? "No answer" : title}
        >
          <Sentence>{refusal.message}</Sentence>
          {refusal.request && <Content component="small">Request {refusal.request}</Content>}
        </Alert>
      )}
    </div>
  );
}
