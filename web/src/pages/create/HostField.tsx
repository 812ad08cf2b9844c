/** Which host the VM is to be on, where there are several: what can be chosen after that is what this one has. */
import { Choose } from "@/ui/Choose";
import { useHostChoices } from "@/ui/hostChoices";
import { Field } from "./Field";

export function HostField({ host, onHost }: { host: string; onHost: (host: string) => void }) {
  const hosts = useHostChoices();
  if (!hosts) return null;
  return (
    <Field
      id="create-host"
      label="Host"
      hint={
        host === ""
          ? "The server picks one: where its disks are, or with the most free memory."
          : "Media of other hosts are not offered: a VM uses those of its own."
      }
    >
      <Choose
        id="create-host"
        value={host}
        choices={[{ value: "", label: "Automatic: the most suitable" }, ...hosts]}
        onChange={onHost}
      />
    </Field>
  );
}
