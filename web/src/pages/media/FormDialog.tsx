/** A form in a dialog: what was typed stays when the server refuses it, and the refusal stands at its field. */
import { Alert, Button, Content, Form, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { ApiError, messageOf } from "@/api/call";
import { type Request, SameAs } from "@/ui/SameAs";

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

export function FormDialog({
  title,
  about,
  verb,
  ready,
  refusal,
  cli,
  request,
  onSubmit,
  onClose,
  children,
}: {
  title: string;
  about?: ReactNode;
  verb: string;
  /** Whether what is typed can be sent; otherwise the fields say why not. */
  ready: boolean;
  refusal?: Refusal;
  cli?: string[];
  request: Request;
  /** Resolves when it is done: the dialog closes. Rejects: it stays. */
  onSubmit: () => Promise<boolean>;
  onClose: () => void;
  children: ReactNode;
}) {
  const [busy, setBusy] = useState(false);
  const submit = async () => {
    if (!ready || busy) return;
    setBusy(true);
    if (await onSubmit()) onClose();
    else setBusy(false);
  };
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="form-title">
      <ModalHeader title={title} labelId="form-title" description={about} />
      <ModalBody>
        <Form
          id="dialog-form"
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          {refusal && (
            <Alert isInline variant="danger" title="The server refused it">
              {refusal.message}
              {refusal.request && <Content component="small">Request {refusal.request}</Content>}
            </Alert>
          )}
          {children}
          <SameAs cli={cli} request={request} />
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button type="submit" form="dialog-form" isDisabled={!ready || busy} isLoading={busy}>
          {verb}
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
