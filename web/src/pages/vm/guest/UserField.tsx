/** A user of the guest, by name. */
import { FormGroup, TextInput } from "@patternfly/react-core";
import type { GuestInfo } from "@/api/schema";
import { Hint } from "@/ui/FormDialog";

interface Props {
  value: string;
  refused: string | undefined;
  onChange: (user: string) => void;
}

/** Who is logged in, or whom cloud-init has made: a name to begin with. */
export const likelyUser = (told: GuestInfo, made: string | undefined): string =>
  made || (told.users?.[0]?.name ?? (isWindows(told) ? "Administrator" : "root"));

export const isWindows = ({ os }: GuestInfo): boolean => /windows/i.test(os ?? "");

export function UserField({ value, refused, onChange }: Props) {
  return (
    <FormGroup label="User of the guest" fieldId="guest-user" isRequired>
      <TextInput
        id="guest-user"
        value={value}
        onChange={(_event, user) => onChange(user)}
        validated={refused ? "error" : "default"}
        autoComplete="off"
        spellCheck={false}
        isRequired
      />
      <Hint wrong={refused} />
    </FormGroup>
  );
}
