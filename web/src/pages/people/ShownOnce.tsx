/** A password that was set, shown this once to be handed over. */
import { Alert, Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import type { ReactNode } from "react";
import { Code } from "@/ui/Code";

export function ShownOnce({
  title,
  password,
  children,
  onClose,
}: {
  title: string;
  password: string;
  /** More that can be done from here. */
  children?: ReactNode;
  onClose: () => void;
}) {
  return (
    <Modal isOpen variant="small" onClose={onClose} aria-labelledby="once-title">
      <ModalHeader title={title} labelId="once-title" />
      <ModalBody>
        <Alert component="p" isInline variant="info" title="Copy the password now">
          It is not shown again, and is not stored in readable form.
        </Alert>
        <Code label="Password" text={password} />
      </ModalBody>
      <ModalFooter>
        {children}
        <Button variant={children ? "link" : "primary"} onClick={onClose}>
          Close
        </Button>
      </ModalFooter>
    </Modal>
  );
}
