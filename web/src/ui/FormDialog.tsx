/** A form in a dialog: what was typed stays when the server refuses it, and the refusal stands at its field. */
import {
  Alert,
  Button,
  Content,
  Form,
  FormHelperText,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
} from "@patternfly/react-core";
import { type ReactNode, useId, useState } from "react";
import { ApiError, messageOf } from "@/api/http";
import { type Request, SameAs } from "./SameAs";

export interface Refusal {
  field?: string;
  message: string;
  request?: string;
}

export function useRefusal(fields: readonly string[]) {
  const [refusal, setRefusal] = useState<Refusal>();
  const known = refusal?.field !== undefined && fields.includes(refusal.field);
  return {
    /** What the server said of a field. */
    at: (field: string) => (known && refusal.field === field ? refusal.message : undefined),
    /** What it said of the whole. */
    whole: known ? undefined : refusal,
    clear: () => setRefusal(undefined),
    set: (error: unknown) =>
      setRefusal({
        message: messageOf(error),
        ...(error instanceof ApiError ? { field: error.field, request: error.request } : {}),
      }),
  };
}

/** What is wrong with a field, or else what one should know of it. */
export function Hint({ id, wrong, children }: { id?: string; wrong?: string | undefined; children?: ReactNode }) {
  if (!wrong && !children) return null;
  return (
    <FormHelperText>
      <HelperText id={id} aria-live="polite">
        <HelperTextItem variant={wrong ? "error" : "default"}>{wrong ?? children}</HelperTextItem>
      </HelperText>
    </FormHelperText>
  );
}

export function FormDialog({
  title,
  about,
  verb,
  ready,
  refusal,
  cli,
  request,
  danger = false,
  wide = false,
  onSubmit,
  onClose,
  children,
}: {
  title: string;
  about?: ReactNode;
  verb: string;
  /** Whether what is typed can be sent; otherwise the fields say why not. */
  ready: boolean;
  refusal?: Refusal | undefined;
  cli?: string[] | string[][];
  request: Request | Request[];
  danger?: boolean;
  wide?: boolean;
  /** Whether it was done: then the dialog closes. Otherwise it stays. */
  onSubmit: () => Promise<boolean>;
  onClose: () => void;
  children: ReactNode;
}) {
  const id = useId();
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    if (!ready || busy) return;
    setBusy(true);
    if (await onSubmit()) onClose();
    else setBusy(false);
  };
  return (
    <Modal isOpen variant={wide ? "large" : "medium"} onClose={onClose} aria-labelledby={`${id}-title`}>
      <ModalHeader
        title={title}
        labelId={`${id}-title`}
        description={about}
        titleIconVariant={danger ? "warning" : undefined}
      />
      <ModalBody>
        <Form
          id={`${id}-form`}
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          {refusal && (
            <Alert component="p" isInline variant="danger" title="The server refused it">
              {refusal.message}
              {refusal.request && <Content component="small">Request {refusal.request}</Content>}
            </Alert>
          )}
          {children}
          {(Array.isArray(request) ? request.length > 0 : true) && <SameAs cli={cli} request={request} />}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          type="submit"
          form={`${id}-form`}
          variant={danger ? "danger" : "primary"}
          isDisabled={!ready || busy}
          isLoading={busy}
        >
          {verb}
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
