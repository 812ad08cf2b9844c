/** The session has ended while the page was open: the password is asked for in place, and nothing typed is lost. */
import { Button, Modal, ModalBody, ModalFooter, ModalHeader } from "@patternfly/react-core";
import type { BrowserSession } from "@/api/schema";
import { session as store } from "@/api/session";
import { SignInForm } from "./SignInForm";

export function SignInAgain({ session }: { session: BrowserSession }) {
  return (
    <Modal
      isOpen
      variant="small"
      aria-labelledby="again-title"
      aria-describedby="again-body"
      elementToFocus='[aria-labelledby="again-title"] [name="password"]'
    >
      <ModalHeader
        title="Your session has ended"
        labelId="again-title"
        description="Sign in to continue. Your input is still here."
        descriptorId="again-body"
      />
      <ModalBody>
        <SignInForm name={session.name} />
      </ModalBody>
      <ModalFooter>
        <Button variant="link" onClick={() => void store.signOut()}>
          Sign in as someone else
        </Button>
      </ModalFooter>
    </Modal>
  );
}
