/** For who sees no VM and may make none: what they may do where, and who gives more. */
import { Card, CardBody, CardTitle, Content, EmptyState, EmptyStateBody } from "@patternfly/react-core";
import { Link } from "react-router";
import { useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import { shell } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { ABOUT, short } from "@/ui/permissions";

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
      <EmptyState titleText="Nothing is shared with you yet" headingLevel="h2">
        <EmptyStateBody>
          You have no permissions yet. Ask an administrator of this server to grant you some, for example with{" "}
          <code>velocity user grant {shell(name)} operator --group TEAM</code>. They appear here at once.
        </EmptyStateBody>
      </EmptyState>
    );
  return (
    <Card component="section" aria-labelledby="rights">
      <CardTitle component="h2" id="rights">
        What you may do
      </CardTitle>
      <CardBody>
        <Content component="p">No VM is shared with you yet. {who}</Content>
        {groups.map((group) => (
          <div key={group.gid} className="v-item">
            <h3 className="v-quota-of">
              <Link to={`/groups/${group.gid}`}>{path(group.gid)}</Link>
            </h3>
            <ul className="v-lines v-plain-list v-subtle">
              {group.permissions.map((one) => (
                <li key={one}>{ABOUT.get(short(one)) ?? short(one)}</li>
              ))}
            </ul>
          </div>
        ))}
        <Content component="p" className="v-space-above">
          <Link to="/groups">See your groups</Link>
        </Content>
      </CardBody>
    </Card>
  );
}
