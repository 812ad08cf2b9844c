/** A confirmation before something that cannot easily be undone. */

import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import { type ReactNode, useState } from "react";
import { type Request, SameAs } from "./SameAs";
import { Sentence } from "./Sentence";

export function Confirm({
  title,
  children,
  verb,
  no = "Cancel",
  danger = true,
  disabled = false,
  cli,
  request,
  onConfirm,
  onClose,
}: {
  title: string;
  children: ReactNode;
  verb: string;
  /** The button that changes nothing: another word if `verb` itself cancels something. */
  no?: string;
  danger?: boolean;
  /** It is impossible at present; the dialog says why. */
  disabled?: boolean;
  cli?: string[];
  request?: Request;
  /** Whether it succeeded: then the dialog closes. */
  onConfirm: () => Promise<boolean>;
  onClose: () => void;
}) {
  const [busy, setBusy] = useState(false);
  const confirm = async () => {
    setBusy(true);
    if (await onConfirm()) onClose();
    else setBusy(false);
  };
  return (
    <Modal
      isOpen
      variant="small"
      onClose={onClose}
      aria-labelledby="confirm-title"
      aria-describedby="confirm-body"
      elementToFocus={`#confirm-body select:enabled, ${danger ? "" : "#confirm-yes:enabled, "}#confirm-no`}
    >
      <ModalHeader
        title={<Sentence>{title}</Sentence>}
        labelId="confirm-title"
        titleIconVariant={danger ? "warning" : undefined}
      />
      <ModalBody id="confirm-body" className="v-confirm">
        {children}
        {request && <SameAs cli={cli} request={request} />}
      </ModalBody>
      <ModalFooter>
        <Button
          id="confirm-yes"
          variant={danger ? "danger" : "primary"}
          isLoading={busy}
          isDisabled={busy || disabled}
          onClick={() => void confirm()}
        >
          {verb}
        </Button>
        <Button variant="link" id="confirm-no" onClick={onClose}>
          {no}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
