/** Groups: the tree beside the group that was chosen. */
import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Skeleton,
} from "@patternfly/react-core";
import { useState } from "react";
import { useNavigate, useParams, useSearchParams } from "react-router";
import { type Group, useMay, useObjects, useReady } from "@/api/live";
import { LinkButton } from "@/ui/LinkButton";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { GroupDetails } from "./GroupDetails";
import { GroupTree } from "./GroupTree";
import { TeamDialog } from "./team/TeamDialog";
import { type Branch, branches } from "./tree";
import "./people.css";

export default function Groups() {
  const { gid } = useParams();
  const navigate = useNavigate();
  const ready = useReady();
  const may = useMay();
  const groups = useObjects("group");
  const [asked, ask] = useSearchParams();
  const [wish, setWish] = useState(false);
  const chosen = gid === undefined ? undefined : Number(gid);
  const top = chosen ?? first(branches(groups))?.gid;
  const group = groups.find((one) => one.gid === top);
  const canSetUp = groups.some((one) => may("group.create", one.gid));
  const team = canSetUp && (wish || asked.has("team"));
  const close = () => {
    setWish(false);
    if (asked.has("team")) ask({}, { replace: true });
  };
  return (
    <>
      <PageHead
        title="Groups"
        about="A group has a share of the host and members. Permissions on a group also apply to all groups below it."
        actions={canSetUp && <Button onClick={() => setWish(true)}>Set up a team</Button>}
      />
      <Section>
        {!ready ? (
          <Skeleton height="20rem" screenreaderText="Loading the groups" />
        ) : groups.length === 0 ? (
          <EmptyState titleText="You are not a member of any group yet" headingLevel="h2">
            <EmptyStateBody>Ask an administrator to give you permissions on one.</EmptyStateBody>
          </EmptyState>
        ) : (
          <div className={chosen === undefined ? "v-people" : "v-people v-chosen"}>
            <GroupTree chosen={top} onChoose={(one) => navigate(`/groups/${one}`)} />
            {group ? (
              <GroupDetails key={group.gid} group={group} />
            ) : (
              <EmptyState titleText="There is no such group" headingLevel="h2" className="v-people-details">
                <EmptyStateBody>It was deleted, or you have no permissions there.</EmptyStateBody>
                <EmptyStateFooter>
                  <EmptyStateActions>
                    <LinkButton to="/groups">All groups</LinkButton>
                  </EmptyStateActions>
                </EmptyStateFooter>
              </EmptyState>
            )}
          </div>
        )}
      </Section>
      {team && (
        <TeamDialog
          parent={group && may("group.create", group.gid) ? group.gid : undefined}
          onDone={(one) => navigate(`/groups/${one}`)}
          onClose={close}
        />
      )}
    </>
  );
}

/** The topmost group where one holds something. */
function first(all: readonly Branch<Group>[]): Group | undefined {
  for (const { group } of all) if (group.permissions.length > 0) return group;
  for (const { below } of all) {
    const found = first(below);
    if (found) return found;
  }
  return all[0]?.group;
}
