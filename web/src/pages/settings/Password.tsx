/** Another password for oneself. It ends every session, this one too, so one is signed in again with the new one. */
import {
  ActionGroup,
  Button,
  Card,
  CardBody,
  CardTitle,
  Form,
  FormGroup,
  FormHelperText,
  HelperText,
  HelperTextItem,
  TextInput,
} from "@patternfly/react-core";
import { type FormEvent, useRef, useState } from "react";
import { useNavigate } from "react-router";
import { call } from "@/api/call";
import { CreateUser } from "@/api/limits";
import type { BrowserSession } from "@/api/schema";
import { session as store } from "@/api/session";
import { showToast } from "@/ui/actions";
import { Hint, useRefusal } from "@/ui/FormDialog";
import { passwordProblem } from "@/ui/problems";
import { incomplete, RefusalAlert } from "@/ui/RefusalAlert";

export function Password({ session }: { session: BrowserSession }) {
  const [old, setOld] = useState("");
  const [password, setPassword] = useState("");
  const [again, setAgain] = useState("");
  const refusal = useRefusal(["old_password", "password"]);
  const form = useRef<HTMLFormElement>(null);
  const [busy, setBusy] = useState(false);
  const navigate = useNavigate();
  const wrong = password === "" ? undefined : (passwordProblem(password) ?? refusal.at("password"));
  const differs = again.length > 0 && again !== password;
  const ready = (session.first || old) && password !== "" && !wrong && again === password;
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    if (!ready) return refusal.tell(incomplete());
    setBusy(true);
    refusal.clear();
    try {
      await call("patch", "/u/user", { password, ...(session.first ? {} : { old_password: old }) });
      await store.signIn({ name: session.name, password });
      showToast("success", "Password changed", "All your other sessions have ended.");
      setOld("");
      setPassword("");
      setAgain("");
      if (session.first) navigate("/");
    } catch (failure) {
      refusal.set(failure);
    }
    setBusy(false);
  };
  return (
    <Card>
      <CardTitle component="h2">Password</CardTitle>
      <CardBody>
        <Form ref={form} onSubmit={(event) => void submit(event)} isWidthLimited>
          <input type="text" name="username" autoComplete="username" value={session.name} readOnly hidden />
          {!session.first && (
            <FormGroup label="Current password" fieldId="old" isRequired>
              <TextInput
                id="old"
                type="password"
                autoComplete="current-password"
                value={old}
                onChange={(_event, value) => {
                  setOld(value);
                  refusal.clear();
                }}
                validated={refusal.at("old_password") ? "error" : "default"}
                aria-describedby="old-help"
                isRequired
              />
              <Hint id="old-help" wrong={refusal.at("old_password")} />
            </FormGroup>
          )}
          <FormGroup label="New password" fieldId="new" isRequired>
            <TextInput
              id="new"
              type="password"
              autoComplete="new-password"
              value={password}
              onChange={(_event, value) => {
                setPassword(value);
                refusal.clear();
              }}
              validated={wrong ? "error" : "default"}
              aria-describedby="new-help"
              isRequired
            />
            <FormHelperText>
              <HelperText id="new-help">
                <HelperTextItem variant={wrong ? "error" : "default"}>
                  {wrong ?? `At least ${CreateUser.password.minLength} characters; there are no other rules.`}
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
          <FormGroup label="New password, again" fieldId="again" isRequired>
            <TextInput
              id="again"
              type="password"
              autoComplete="new-password"
              value={again}
              onChange={(_event, value) => setAgain(value)}
              validated={differs ? "error" : "default"}
              aria-describedby="again-help"
              isRequired
            />
            <FormHelperText>
              <HelperText id="again-help">
                <HelperTextItem variant={differs ? "error" : "default"}>
                  {differs ? "The passwords do not match." : "This ends all your other sessions."}
                </HelperTextItem>
              </HelperText>
            </FormHelperText>
          </FormGroup>
          <RefusalAlert refusal={refusal.last} title="The password was not set" form={form} />
          <ActionGroup>
            <Button type="submit" isLoading={busy} isDisabled={busy}>
              Set the password
            </Button>
          </ActionGroup>
        </Form>
      </CardBody>
    </Card>
  );
}
