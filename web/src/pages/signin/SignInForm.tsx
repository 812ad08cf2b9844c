/** Name and password. */
import { ActionGroup, Alert, Button, Form, FormGroup, TextInput } from "@patternfly/react-core";
import { type FormEvent, useState } from "react";
import { messageOf } from "@/api/http";
import { session } from "@/api/session";

export function SignInForm({ name, reason }: { name?: string; reason?: string }) {
  const [user, setUser] = useState(name ?? "");
  const [password, setPassword] = useState("");
  const [error, setError] = useState(reason);
  const [busy, setBusy] = useState(false);
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setBusy(true);
    try {
      await session.signIn({ name: user, password });
    } catch (failure) {
      setError(messageOf(failure));
      setBusy(false);
    }
  };
  return (
    <Form onSubmit={(event) => void submit(event)}>
      <div role="alert">{error && <Alert isInline isPlain variant="danger" title={error} />}</div>
      <FormGroup label="Name" fieldId="name" isRequired>
        <TextInput
          id="name"
          name="username"
          value={user}
          onChange={(_event, value) => setUser(value)}
          isRequired
          autoComplete="username"
          readOnlyVariant={name === undefined ? undefined : "default"}
          autoFocus={name === undefined}
        />
      </FormGroup>
      <FormGroup label="Password" fieldId="password" isRequired>
        <TextInput
          id="password"
          name="password"
          type="password"
          value={password}
          onChange={(_event, value) => setPassword(value)}
          isRequired
          autoComplete="current-password"
          autoFocus={name !== undefined}
        />
      </FormGroup>
      <ActionGroup>
        <Button type="submit" isBlock isLoading={busy} isDisabled={busy || !user || !password}>
          Sign in
        </Button>
      </ActionGroup>
    </Form>
  );
}
