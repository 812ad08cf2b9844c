/** A password that was set, shown this once to be handed over. */
import { Alert, Button, ClipboardCopy, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import type { ReactNode } from "react";

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
        <ClipboardCopy isReadOnly hoverTip="Copy" clickTip="Copied" textAriaLabel="Password" className="v-space-above">
          {password}
        </ClipboardCopy>
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
