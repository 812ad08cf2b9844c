/** Text for a guest that shares no clipboard: typed as keys, at a pace that its firmware follows. */
import {
  Alert,
  Button,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  Modal,
  ModalBody,
  ModalFooter,
  ModalHeader,
  Progress,
  TextArea,
} from "@patternfly/react-core";
import { useEffect, useRef, useState } from "react";
import { count, duration } from "@/ui/format";
import type { Send } from "./chords";
import { PACE, strokesOf, type } from "./strokes";

export function Paste({ send, onClose, room }: { send: Send; onClose: () => void; room: () => HTMLElement }) {
  const [text, setText] = useState("");
  const [typed, setTyped] = useState<number>();
  const [refused, setRefused] = useState(false);
  const stop = useRef<AbortController>(new AbortController());
  useEffect(() => {
    const controller = new AbortController();
    stop.current = controller;
    return () => controller.abort();
  }, []);
  const { strokes, missing } = strokesOf(text);
  const busy = typed !== undefined;
  const begin = async () => {
    setTyped(0);
    if (await type(strokes, send, { signal: stop.current.signal, told: setTyped })) onClose();
  };
  const fromClipboard = async () => {
    try {
      setText(await navigator.clipboard.readText());
      setRefused(false);
    } catch {
      setRefused(true);
    }
  };
  return (
    <Modal
      isOpen
      variant="small"
      onClose={onClose}
      appendTo={room}
      aria-labelledby="paste-title"
      aria-describedby="paste-about"
    >
      <ModalHeader
        title="Type text into the guest"
        labelId="paste-title"
        descriptorId="paste-about"
        description="The text is typed on a US keyboard: the guest must use this layout."
      />
      <ModalBody>
        <Form
          onSubmit={(event) => {
            event.preventDefault();
            void begin();
          }}
        >
          <FormGroup label="Text" fieldId="paste-text">
            <TextArea
              id="paste-text"
              value={text}
              onChange={(_event, value) => setText(value)}
              rows={6}
              resizeOrientation="vertical"
              isDisabled={busy}
              spellCheck={false}
              autoComplete="off"
              autoFocus
            />
            <FormHelperText>
              <HelperText isLiveRegion>
                {missing.length > 0 ? (
                  <HelperTextItem variant="warning">
                    Not on this keyboard, and left out: {missing.slice(0, 12).join(" ")}
                    {missing.length > 12 && " …"}
                  </HelperTextItem>
                ) : (
                  <HelperTextItem>
                    {strokes.length > 0
                      ? `${count(strokes.length, "key")}, about ${duration(Math.max(1, (strokes.length * PACE) / 1000))}. A line end presses Enter.`
                      : "A line end presses Enter. A password typed here goes to the guest only."}
                  </HelperTextItem>
                )}
              </HelperText>
            </FormHelperText>
          </FormGroup>
          {refused && (
            <Alert
              component="p"
              isInline
              variant="info"
              title="The browser does not allow the page to read the clipboard"
            >
              Press Ctrl-V in the field instead.
            </Alert>
          )}
          {busy && <Progress value={typed} max={strokes.length} title="Typing" size="sm" />}
        </Form>
      </ModalBody>
      <ModalFooter>
        <Button onClick={() => void begin()} isDisabled={busy || strokes.length === 0}>
          Type it
        </Button>
        {"clipboard" in navigator && (
          <Button variant="secondary" onClick={() => void fromClipboard()} isDisabled={busy}>
            Read the clipboard
          </Button>
        )}
        <Button variant="link" onClick={onClose}>
          {busy ? "Stop" : "Cancel"}
        </Button>
      </ModalFooter>
    </Modal>
  );
}
