/** Who may log in, and what else cloud-init in the guest is told: in short, or as its own texts, which are never shown again. */
import {
  Button,
  Checkbox,
  ExpandableSection,
  FormGroup,
  FormSection,
  TextArea,
  TextInput,
} from "@patternfly/react-core";
import { useState } from "react";
import { type CloudInitDraft, keysOf } from "@/ui/cloudInit";
import type { Fields } from "./fields";
import { Problem } from "./Problem";

export function CloudInitFields({ draft, change, problems, disabled }: Fields) {
  const now = draft.cloud_init;
  const set = (part: Partial<CloudInitDraft>) => change({ cloud_init: { ...now, ...part } });
  const [keys, setKeys] = useState((now.ssh_keys ?? []).join("\n"));
  const [packages, setPackages] = useState((now.packages ?? []).join(" "));
  const line = (name: "user" | "hostname" | "timezone", label: string, help: string) => (
    <FormGroup label={label} fieldId={`cloud-init-${name}`}>
      <TextInput
        id={`cloud-init-${name}`}
        value={now[name] ?? ""}
        onChange={(_event, text) => set({ [name]: text.trim() })}
        validated={problems[`cloud_init.${name}`] ? "error" : "default"}
        isDisabled={disabled}
      />
      <Problem text={problems[`cloud_init.${name}`]} help={help} />
    </FormGroup>
  );
  const secret = { now, set, problems, disabled };
  return (
    <FormSection id="cloud-init" title="Cloud-init" titleElement="h2">
      <span className="v-subtle">
        Login, name and packages, read by a guest whose image has cloud-init. A guest that was configured once keeps
        what it has until it is configured anew.
      </span>
      {line("user", "User", "Empty: the default user of the image.")}
      <FormGroup label="SSH keys" fieldId="cloud-init-ssh-keys">
        <TextArea
          id="cloud-init-ssh-keys"
          value={keysOf(keys).join("\n") === (now.ssh_keys ?? []).join("\n") ? keys : (now.ssh_keys ?? []).join("\n")}
          onChange={(_event, text) => {
            setKeys(text);
            set({ ssh_keys: keysOf(text) });
          }}
          validated={problems["cloud_init.ssh_keys"] ? "error" : "default"}
          isDisabled={disabled}
          autoResize
          resizeOrientation="vertical"
        />
        <Problem text={problems["cloud_init.ssh_keys"]} help="Public keys, one on each line." />
      </FormGroup>
      <SecretField {...secret} name="password_hash" label="Password hash" help="openssl passwd -6 makes one." />
      {line("hostname", "Host name", "Empty: from the VM's name.")}
      {line("timezone", "Time zone", "For example Europe/Berlin.")}
      <FormGroup label="Packages" fieldId="cloud-init-packages">
        <TextInput
          id="cloud-init-packages"
          value={
            wordsOf(packages).join(" ") === (now.packages ?? []).join(" ") ? packages : (now.packages ?? []).join(" ")
          }
          onChange={(_event, text) => {
            setPackages(text);
            set({ packages: wordsOf(text) });
          }}
          isDisabled={disabled}
        />
        <Problem text={undefined} help="With spaces between." />
      </FormGroup>
      <Checkbox
        id="cloud-init-new-instance"
        label="Configure the guest anew"
        description="At the next start cloud-init runs as in a new instance, and makes new SSH host keys."
        isChecked={draft.new_instance === true}
        onChange={(_event, on) => change({ new_instance: on || undefined })}
        isDisabled={disabled}
      />
      <ExpandableSection toggleText="Whole texts">
        <SecretField
          {...secret}
          name="user_data"
          label="User-data"
          long
          help="Replaces all of the above but the host name."
        />
        <SecretField {...secret} name="network_config" label="Network-config" long help="Empty: DHCP." />
        <SecretField {...secret} name="meta_data" label="Meta-data" long help="Added to what Velocity gives." />
      </ExpandableSection>
    </FormSection>
  );
}

const wordsOf = (text: string): string[] => text.split(/[\s,]+/).filter((word) => word !== "");

function SecretField({
  now,
  set,
  problems,
  disabled,
  name,
  label,
  help,
  long = false,
}: {
  now: CloudInitDraft;
  set: (part: Partial<CloudInitDraft>) => void;
  problems: Record<string, string>;
  disabled: boolean;
  name: "password_hash" | "user_data" | "network_config" | "meta_data";
  label: string;
  help: string;
  long?: boolean;
}) {
  const typed = now[name];
  const isSet = now.secrets.includes(name);
  const problem = problems[`cloud_init.${name}`];
  const Input = long ? TextArea : TextInput;
  const said = typed === "" && isSet ? "It is removed when you save." : "It is set, and not shown.";
  return (
    <FormGroup label={label} fieldId={`cloud-init-${name}`}>
      <Input
        id={`cloud-init-${name}`}
        value={typed ?? ""}
        onChange={(_event, text) => set({ [name]: text === "" ? undefined : text })}
        validated={problem ? "error" : "default"}
        isDisabled={disabled}
        autoComplete="off"
        spellCheck={false}
      />
      <Problem text={problem} help={isSet ? `${said} What you type takes its place. ${help}` : help} />
      {isSet && typed === undefined && !disabled && (
        <Button variant="link" isInline onClick={() => set({ [name]: "" })}>
          Remove {label.toLowerCase()}
        </Button>
      )}
    </FormGroup>
  );
}
