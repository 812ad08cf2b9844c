/** A form in a dialog: what was typed stays when the server refuses it, and the refusal stands at its field. */

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
import { incomplete, type Refusal, RefusalAlert } from "./RefusalAlert";
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
  /** Shown in the dialog, and in a toast where that was closed meanwhile. */
  const set = (error: unknown) => {
    if (open.current && error instanceof Error) shownElsewhere.add(error);
    setRefusal({
      message: messageOf(error),
      ...(error instanceof ApiError ? { field: error.field, request: error.request } : {}),
    });
  };
  return {
    /** What the server said of a field. */
    at: (field: string) => (known && refusal.field === field ? refusal.message : undefined),
    last: refusal,
    clear: () => setRefusal(undefined),
    tell: (refusal: Refusal) => setRefusal(refusal),
    set,
    /** Do it; what it is refused with is told here. */
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

/** What is wrong with a field, or else what one should know of it. */
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

const FIELD = ":is(input, select, textarea):enabled";

/** Where the first field comes with what the server answers, the focus goes on to it, unless it is elsewhere by now. */
function useFirstField(form: RefObject<HTMLFormElement | null>, otherwise: string): void {
  const settled = useRef(false);
  useEffect(() => {
    const field = settled.current ? null : form.current?.querySelector<HTMLElement>(FIELD);
    if (!field) return;
    settled.current = true;
    if (document.activeElement?.id === otherwise) field.focus();
  });
}

export function FormDialog({
  title,
  about,
  verb,
  ready,
  missing,
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
  /** Whether what is typed can be sent; otherwise the fields say why not, and pressing the button leads to the first. */
  ready: boolean;
  /** What is lacking, where no field says it. */
  missing?: string | undefined;
  /** What the server said last. */
  refusal?: Refusal | undefined;
  cli?: string[] | string[][];
  request: Request | Request[];
  danger?: boolean;
  wide?: boolean;
  /** The button that closes it: another word where what was wanted is done already. */
  no?: string;
  /** Whether it was done: then the dialog closes. Otherwise it stays. */
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
    setEarly(ready ? undefined : incomplete(missing));
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
      elementToFocus={`#${id}-form ${FIELD}, #${id}-cancel`}
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
