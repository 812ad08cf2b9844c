/** Where a VM goes whose own host is no more. */
import { Alert, FormGroup } from "@patternfly/react-core";
import { useAnswer } from "@/api/queries";
import { Choose } from "@/ui/Choose";
import { Hint } from "@/ui/FormDialog";
import { useGroupsWhere } from "@/ui/groups";

export function AnotherHost({ host, onHost }: { host: string; onHost: (host: string) => void }) {
  const sees = useGroupsWhere("host.view").length > 0;
  const hosts = useAnswer("post", "/h/node/list", {}, { topics: ["host"], enabled: sees }).data?.nodes ?? [];
  if (!sees)
    return (
      <Alert component="p" isInline variant="warning" title="Its host is no more">
        Who may see the hosts can restore it on another one.
      </Alert>
    );
  return (
    <FormGroup label="Host" fieldId="restore-host">
      <Choose
        id="restore-host"
        value={host}
        choices={[
          { value: "", label: "Choose one", disabled: true },
          ...hosts.map((one) => ({
            value: String(one.host),
            label: one.name,
            disabled: one.duty !== "active" || one.state === "unreachable" || one.state === "dead",
          })),
        ]}
        onChange={onHost}
      />
      <Hint>Its own host is gone. On another one, its firmware settings, such as boot entries, start afresh.</Hint>
    </FormGroup>
  );
}
