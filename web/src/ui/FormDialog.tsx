/** A form in a dialog: if the server refuses it, the input stays, and the refusal is shown at its field. */

import {
  Button,
  Form,
  FormHelperText,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
} from "@patternfly/react-core";
import { type ReactNode, type RefObject, useEffect, useId, useRef, useState } from "react";
import { ApiError, messageOf } from "@/api/http";
import { shownElsewhere } from "./actions";
import { incomplete, type Refusal, RefusalAlert, tooLarge } from "./RefusalAlert";
import { type Request, SameAs } from "./SameAs";
import { Sentence } from "./Sentence";

export function useRefusal(fields: readonly string[]) {
  const [refusal, setRefusal] = useState<Refusal>();
  const open = useRef(false);
  useEffect(() => {
    open.current = true;
    return () => {
      open.current = false;
    };
  }, []);
  const known = refusal?.field !== undefined && fields.includes(refusal.field);
  /** Shown in the dialog, or in a toast if that was closed meanwhile. */
  const set = (error: unknown) => {
    if (open.current && error instanceof Error) shownElsewhere.add(error);
    setRefusal({
      message: messageOf(error),
      ...(error instanceof ApiError
        ? { field: error.field, request: error.request, unanswered: error.status === 0 }
        : {}),
    });
  };
  return {
    /** The server's message about a field. */
    at: (field: string) => (known && refusal.field === field ? refusal.message : undefined),
    last: refusal,
    clear: () => setRefusal(undefined),
    tell: (refusal: Refusal) => setRefusal(refusal),
    set,
    /** Submits the form, and shows refusals. */
    during: async <T,>(work: () => Promise<T>): Promise<T> => {
      setRefusal(undefined);
      try {
        return await work();
      } catch (error) {
        set(error);
        throw error;
      }
    },
  };
}

/** An error of a field, or otherwise a hint. */
export function Hint({ id, wrong, children }: { id?: string; wrong?: string | undefined; children?: ReactNode }) {
  if (!wrong && !children) return null;
  return (
    <FormHelperText>
      <HelperText id={id} aria-live="polite">
        <HelperTextItem variant={wrong ? "error" : "default"}>
          {wrong ? <Sentence>{wrong}</Sentence> : children}
        </HelperTextItem>
      </HelperText>
    </FormHelperText>
  );
}

const FIELD = ":is(input:not([hidden]), select, textarea):enabled";
/** What a form without a field yet begins with marks itself so. */
const FIRST = "data-first";

/** If the first field appears only with the server's answer, it is focused, unless the focus has moved. */
function useFirstField(form: RefObject<HTMLFormElement | null>, otherwise: string): void {
  const settled = useRef(false);
  useEffect(() => {
    const field = settled.current ? null : form.current?.querySelector<HTMLElement>(FIELD);
    if (!field) return;
    settled.current = true;
    const at = document.activeElement;
    if (at?.id === otherwise || at?.hasAttribute(FIRST)) field.focus();
  });
}

export function FormDialog({
  title,
  about,
  verb,
  ready,
  missing,
  lacking,
  blocked,
  refusal,
  cli,
  request,
  danger = false,
  wide = false,
  no = "Cancel",
  onSubmit,
  onClose,
  children,
}: {
  title: string;
  about?: ReactNode;
  verb: string;
  /** Whether the form can be sent; otherwise the fields say why not, and the button leads to the first one. */
  ready: boolean;
  /** What is missing, if no field says so. */
  missing?: string | undefined;
  /** All is filled in, but there is not the room for it. */
  lacking?: string | undefined;
  /** The id of what says why the button can do nothing yet, and what helps. */
  blocked?: string | undefined;
  /** The server's last message. */
  refusal?: Refusal | undefined;
  cli?: string[] | string[][];
  request: Request | Request[];
  danger?: boolean;
  wide?: boolean;
  /** The button that closes the dialog: another word if the goal is reached already. */
  no?: string;
  /** Whether it succeeded: then the dialog closes. Otherwise it stays. */
  onSubmit: () => Promise<boolean>;
  onClose: () => void;
  children: ReactNode;
}) {
  const id = useId();
  const form = useRef<HTMLFormElement>(null);
  const [busy, setBusy] = useState(false);
  const [early, setEarly] = useState<Refusal>();
  useFirstField(form, `${id}-cancel`);
  const submit = async () => {
    if (busy) return;
    setEarly(ready ? undefined : lacking ? tooLarge(lacking) : incomplete(missing));
    if (!ready) return;
    setBusy(true);
    if (await onSubmit()) onClose();
    else setBusy(false);
  };
  return (
    <Modal
      isOpen
      variant={wide ? "large" : "medium"}
      onClose={onClose}
      aria-labelledby={`${id}-title`}
      elementToFocus={`#${id}-form :is(${FIELD}, [${FIRST}]), #${id}-cancel`}
    >
      <ModalHeader
        title={<Sentence>{title}</Sentence>}
        labelId={`${id}-title`}
        description={typeof about === "string" ? <Sentence>{about}</Sentence> : about}
        titleIconVariant={danger ? "warning" : undefined}
      />
      <ModalBody>
        <Form
          id={`${id}-form`}
          ref={form}
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          {children}
          {(Array.isArray(request) ? request.length > 0 : true) && <SameAs cli={cli} request={request} />}
        </Form>
      </ModalBody>
      <RefusalAlert refusal={early && !ready ? early : refusal} form={form} />
      <ModalFooter>
        <Button
          type="submit"
          form={`${id}-form`}
          variant={danger ? "danger" : "primary"}
          isDisabled={busy}
          isAriaDisabled={blocked !== undefined}
          aria-describedby={blocked}
          isLoading={busy}
        >
          {verb}
        </Button>
        <Button variant="link" id={`${id}-cancel`} onClick={onClose}>
          {no}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
