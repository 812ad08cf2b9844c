/** For who sees no VM and may make none: what they may do where, and who gives more. */
import {
  Card,
  CardBody,
  CardTitle,
  Content,
  EmptyState,
  EmptyStateBody,
  Label,
  LabelGroup,
} from "@patternfly/react-core";
import { LockIcon } from "@patternfly/react-icons";
import { Link } from "react-router";
import { useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import { shell } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";

export function FewRights() {
  const groups = useObjects("group").filter((group) => group.permissions.length > 0);
  const path = useGroupPath();
  const state = useSignal(session.state);
  const first = groups[0]?.gid;
  const why = useAnswer("post", "/u/why", { operation: "create_vm", gid: first }, { enabled: first !== undefined });
  const ask = why.data?.ask?.map((one) => one.name) ?? [];
  const who =
    ask.length > 0
      ? `Ask ${ask.slice(0, 3).join(" or ")} for more permissions, or for a VM.`
      : "Someone who manages your groups can give you more permissions, or create a VM for you.";
  const name = state.is === "in" || state.is === "again" ? state.session.name : "NAME";
  if (groups.length === 0)
    return (
      <EmptyState titleText="Nothing is shared with you yet" headingLevel="h2" icon={LockIcon}>
        <EmptyStateBody>
          You are signed in, but have no permissions yet. Ask the administrator of this server to run, for example:{" "}
          <code>velocity user grant {shell(name)} operator --group TEAM</code>. The change appears here immediately.
        </EmptyStateBody>
      </EmptyState>
    );
  return (
    <Card component="section" aria-labelledby="rights">
      <CardTitle component="h2" id="rights">
        What you may do
      </CardTitle>
      <CardBody>
        <Content component="p">There is no VM that you may view. {who}</Content>
        {groups.map((group) => (
          <div key={group.gid} className="v-item">
            <LabelGroup categoryName={path(group.gid)} numLabels={8}>
              {group.permissions.map((one) => (
                <Label key={one} isCompact variant="outline">
                  {one.replace(/^velocity\./, "")}
                </Label>
              ))}
            </LabelGroup>
          </div>
        ))}
        <Content component="p" className="v-space-above">
          <Link to="/groups">See your groups</Link>
        </Content>
      </CardBody>
    </Card>
  );
}
