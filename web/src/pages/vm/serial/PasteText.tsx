/** Text for a serial console, where the browser does not let the page read the clipboard. */
import { Button, Form, FormGroup, Modal, ModalBody, ModalFooter, ModalHeader, TextArea } from "@patternfly/react-core";
import { useState } from "react";

export function PasteText({
  room,
  onPaste,
  onClose,
}: {
  room: () => HTMLElement;
  onPaste: (text: string) => void;
  onClose: () => void;
}) {
  const [text, setText] = useState("");
  return (
    <Modal isOpen variant="small" onClose={onClose} appendTo={room} aria-labelledby="paste-title">
      <ModalHeader
        title="Paste into the console"
        labelId="paste-title"
        description="The browser does not let the page read the clipboard. Press Ctrl-V here; in the console itself, Ctrl-Shift-V pastes."
      />
      <ModalBody>
        <Form id="paste" onSubmit={(event) => event.preventDefault()}>
          <FormGroup label="Text" fieldId="paste-text">
            <TextArea
              id="paste-text"
              value={text}
              onChange={(_event, value) => setText(value)}
              rows={6}
              resizeOrientation="vertical"
              spellCheck={false}
              autoComplete="off"
              autoFocus
            />
          </FormGroup>
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button
          isDisabled={text === ""}
          onClick={() => {
            onClose();
            setTimeout(() => onPaste(text)); // the dialog gives the focus back to its button first
          }}
        >
          Paste
        </Button>
        <Button variant="link" onClick={onClose}>
          Cancel
        </Button>
      </ModalFooter>
    </Modal>
  );
}
