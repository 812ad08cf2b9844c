/** Groups: where they stand in the tree, and of the chosen one its quota, its members, and what they hold. */
import {
  Alert,
  Card,
  CardBody,
  CardTitle,
  Content,
  Label,
  LabelGroup,
  PageSection,
  Stack,
  StackItem,
} from "@patternfly/react-core";
import { useMemo } from "react";
import { Link, useParams } from "react-router";
import { type Group, useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { type Column, DataTable } from "@/ui/DataTable";
import { Failed } from "@/ui/Failed";
import { count, mib } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";

export default function Groups() {
  const { gid } = useParams();
  const groups = useObjects("group");
  const vms = useObjects("vm");
  const media = useObjects("medium");
  const path = useGroupPath();
  const chosen = groups.find((one) => one.gid === Number(gid));
  const columns = useMemo<Column<Group>[]>(() => {
    const vmsOf = tally(vms);
    const mediaOf = tally(media);
    return [
      {
        key: "name",
        title: "Group",
        names: true,
        cell: (one) => <Link to={`/groups/${one.gid}`}>{path(one.gid)}</Link>,
        sort: (one) => path(one.gid),
      },
      { key: "gid", title: "Id", cell: (one) => one.gid, sort: (one) => one.gid },
      { key: "vms", title: "Machines", cell: (one) => vmsOf.get(one.gid) ?? 0, sort: (one) => vmsOf.get(one.gid) ?? 0 },
      {
        key: "media",
        title: "Media",
        cell: (one) => mediaOf.get(one.gid) ?? 0,
        sort: (one) => mediaOf.get(one.gid) ?? 0,
      },
      {
        key: "held",
        title: "You hold",
        cell: (one) => count(one.permissions.length, "permission"),
        sort: (one) => one.permissions.length,
      },
    ];
  }, [vms, media, path]);
  return (
    <>
      <PageHead
        title="Groups"
        about="Who may do what, and how much. Permissions hold on a group and on all below it."
      />
      <PageSection>
        <Stack hasGutter>
          <StackItem>
            <DataTable
              id="groups"
              label="Groups"
              noun="group"
              rows={groups}
              columns={columns}
              rowKey={(one) => one.gid}
              rowName={(one) => one.name}
              empty={<Content>You hold no permission on any group yet: ask who runs this server for one.</Content>}
            />
          </StackItem>
          {chosen && (
            <StackItem>
              <Details key={chosen.gid} group={chosen} />
            </StackItem>
          )}
          <StackItem>
            <Alert component="p" isInline isPlain variant="info" title="Groups are made and changed from a terminal">
              <code>velocity group create</code>, <code>velocity user grant</code>, <code>velocity group quota</code>;{" "}
              <code>velocity why</code> explains each decision.
            </Alert>
          </StackItem>
        </Stack>
      </PageSection>
    </>
  );
}

function Details({ group }: { group: Group }) {
  const may = useMay();
  const allowed = may("group.view", group.gid);
  const info = useAnswer("post", "/u/group", { gid: group.gid }, { enabled: allowed, topics: ["quota"] });
  const quota = useAnswer("post", "/u/group/quota", { gid: group.gid }, { enabled: allowed, topics: ["quota"] });
  return (
    <Card>
      <CardTitle component="h2">{group.name}</CardTitle>
      <CardBody>
        {!allowed && (
          <Content>Its members and its quota are shown to those who hold velocity.group.view on it.</Content>
        )}
        {quota.error && <Failed error={quota.error} what="The quota" />}
        {quota.data && (
          <Content component="p">
            Uses {count(quota.data.usage.cpus, "CPU")} of {limit(quota.data.limits.cpus)},{" "}
            {mib(quota.data.usage.memory_mib)} of memory of {limit(quota.data.limits.memory_mib, mib)},{" "}
            {count(quota.data.usage.vms, "machine")} of {limit(quota.data.limits.vms)}.
          </Content>
        )}
        {info.error && <Failed error={info.error} what="The members" />}
        {info.data?.memberships.map((member) => (
          <LabelGroup key={member.uid} categoryName={member.name} numLabels={6}>
            {member.permissions.map((one) => (
              <Label key={one.pid} isCompact>
                {one.name.replace("velocity.", "")}
              </Label>
            ))}
          </LabelGroup>
        ))}
        {info.data?.memberships.length === 0 && <Content>Nobody holds a permission directly on it.</Content>}
      </CardBody>
    </Card>
  );
}

const limit = (most: number | undefined, say: (count: number) => string = String): string =>
  most === undefined ? "no limit of its own" : say(most);

function tally(objects: { gid: number }[]): Map<number, number> {
  const found = new Map<number, number>();
  for (const { gid } of objects) found.set(gid, (found.get(gid) ?? 0) + 1);
  return found;
}
