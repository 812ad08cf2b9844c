/** A password for somebody: typed, or generated and shown to be copied. */
import { Button, FormGroup, InputGroup, InputGroupItem, TextInput } from "@patternfly/react-core";
import { useState } from "react";
import { CreateUser } from "@/api/limits";
import { Icon } from "@/look/Icon";
import { Hint } from "@/ui/FormDialog";
import { passwordProblem } from "@/ui/problems";
import { generated } from "./secret";

export function PasswordField({
  label = "First password",
  value,
  refused,
  onChange,
}: {
  label?: string;
  value: string;
  refused: string | undefined;
  onChange: (password: string) => void;
}) {
  const [shown, setShown] = useState(false);
  const wrong = refused ?? (value === "" ? undefined : passwordProblem(value));
  return (
    <FormGroup label={label} fieldId="password" isRequired>
      <InputGroup>
        <InputGroupItem isFill>
          <TextInput
            id="password"
            type={shown ? "text" : "password"}
            value={value}
            isRequired
            autoComplete="new-password"
            validated={wrong ? "error" : "default"}
            aria-describedby="password-hint"
            onChange={(_event, password) => onChange(password)}
          />
        </InputGroupItem>
        <InputGroupItem>
          <Button
            variant="control"
            icon={shown ? <Icon name="hidden" /> : <Icon name="eye" />}
            aria-label={shown ? "Hide the password" : "Show the password"}
            onClick={() => setShown(!shown)}
          />
        </InputGroupItem>
        <InputGroupItem>
          <Button
            variant="control"
            onClick={() => {
              onChange(generated());
              setShown(true);
            }}
          >
            Generate
          </Button>
        </InputGroupItem>
      </InputGroup>
      <Hint id="password-hint" wrong={wrong}>
        {CreateUser.password.minLength} characters or more. The user can set another one in My settings.
      </Hint>
    </FormGroup>
  );
}
