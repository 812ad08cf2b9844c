/** Who may log in to a VM that is made of an image with cloud-init. */
import { FormSection, TextArea } from "@patternfly/react-core";
import type { Draft, Problems } from "./draft";
import { Field, TextField } from "./Field";

export function LoginFields({
  draft,
  problems,
  onChange,
}: {
  draft: Draft;
  problems: Problems;
  onChange: (change: Partial<Draft>) => void;
}) {
  return (
    <FormSection title="Log in" titleElement="h3">
      <span className="v-subtle">For images that are made with cloud-init; others ignore it.</span>
      <Field
        id="create-ssh-keys"
        label="SSH keys"
        problem={problems.sshKeys}
        hint="Public keys, one on each line: the content of a file that ends in .pub"
      >
        <TextArea
          id="create-ssh-keys"
          value={draft.sshKeys}
          onChange={(_event, sshKeys) => onChange({ sshKeys })}
          validated={problems.sshKeys ? "error" : "default"}
          aria-describedby="create-ssh-keys-below"
          spellCheck={false}
          autoResize
          resizeOrientation="vertical"
        />
      </Field>
      <div className="v-create-row">
        <TextField
          id="create-user"
          label="User"
          value={draft.user}
          problem={problems.user}
          hint="Empty: the user that the image is made with"
          onChange={(user) => onChange({ user })}
        />
        <TextField
          id="create-password-hash"
          label="Password hash"
          value={draft.passwordHash}
          problem={problems.passwordHash}
          hint="openssl passwd -6 makes one; it is never shown again"
          onChange={(passwordHash) => onChange({ passwordHash })}
        />
      </div>
    </FormSection>
  );
}
