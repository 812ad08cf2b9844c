/** How well a VM's process is shut in: read back from the process, not from what was meant. */
import { Alert, Card, CardBody, CardTitle, DescriptionList, List, ListItem } from "@patternfly/react-core";
import type { Isolation } from "@/api/schema";
import { Fact } from "@/ui/Fact";
import { mib } from "@/ui/format";

export function IsolationCard({ isolation }: { isolation: Isolation }) {
  const none = /^0*$/.test(isolation.capability_bounding_set);
  return (
    <Card>
      <CardTitle component="h2">Isolation</CardTitle>
      <CardBody>
        {isolation.gaps.length === 0 ? (
          <Alert component="p" isInline isPlain variant="success" title="Fully isolated" />
        ) : (
          <Alert component="p" isInline variant="warning" title="Not isolated on this host">
            <List>
              {isolation.gaps.map((gap) => (
                <ListItem key={gap}>{gap}</ListItem>
              ))}
            </List>
          </Alert>
        )}
        <DescriptionList isHorizontal isCompact columnModifier={{ lg: "2Col" }} className="v-space-above">
          <Fact name="User">
            uid {isolation.uid}, {isolation.own_uid ? "its own" : "shared with the server"}
          </Fact>
          <Fact name="Capabilities">{none ? "none" : <code>{isolation.capability_bounding_set}</code>}</Fact>
          <Fact name="System call filter">{isolation.seccomp ? "on" : "off"}</Fact>
          <Fact name="No new privileges">{isolation.no_new_privileges ? "yes" : "no"}</Fact>
          <Fact name="Supplementary groups">
            {isolation.supplementary_groups.length === 0 ? "none" : isolation.supplementary_groups.join(", ")}
          </Fact>
          <Fact name="Memory limit">
            {isolation.memory_limit_mib === undefined ? "none" : mib(isolation.memory_limit_mib)}
          </Fact>
          <Fact name="Thread limit">{isolation.thread_limit ?? "none"}</Fact>
          <Fact name="Core dumps">{isolation.core_dumps ? "yes" : "no"}</Fact>
          <Fact name="NAT reaches the host's loopback">{isolation.nat_reaches_host_loopback ? "yes" : "no"}</Fact>
        </DescriptionList>
      </CardBody>
    </Card>
  );
}
