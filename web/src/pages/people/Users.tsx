/** Users, and of the chosen one where he is a member and what he holds there. */
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
import { Link, useParams } from "react-router";
import { live, type User, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { useSignal } from "@/api/signal";
import { type Column, DataTable } from "@/ui/DataTable";
import { Failed } from "@/ui/Failed";
import { useGroupPath } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";

const COLUMNS: Column<User>[] = [
  {
    key: "name",
    title: "Name",
    names: true,
    cell: (one) => <Link to={`/users/${one.uid}`}>{one.name}</Link>,
    sort: (one) => one.name,
  },
  { key: "uid", title: "Id", cell: (one) => one.uid, sort: (one) => one.uid },
];

export default function Users() {
  const { uid } = useParams();
  const users = useObjects("user");
  const known = useSignal(live.knowsUsers);
  return (
    <>
      <PageHead title="Users" about="Everybody who can sign in here." />
      <PageSection>
        <Stack hasGutter>
          <StackItem>
            <DataTable
              id="users"
              label="Users"
              noun="user"
              rows={users}
              columns={COLUMNS}
              rowKey={(one) => one.uid}
              rowName={(one) => one.name}
              empty={
                <Content>
                  {known ? "There is nobody." : "Users are shown to those who hold velocity.user.list."}
                </Content>
              }
            />
          </StackItem>
          {uid !== undefined && (
            <StackItem>
              <Details key={uid} uid={Number(uid)} />
            </StackItem>
          )}
          <StackItem>
            <Alert component="p" isInline isPlain variant="info" title="Users are made and changed from a terminal">
              <code>velocity user create</code>, <code>velocity user grant</code>, <code>velocity user revoke</code>,{" "}
              <code>velocity user rm</code>.
            </Alert>
          </StackItem>
        </Stack>
      </PageSection>
    </>
  );
}

function Details({ uid }: { uid: number }) {
  const { data, error } = useAnswer("post", "/u/user", { uid });
  const path = useGroupPath();
  return (
    <Card>
      <CardTitle component="h2">{data?.name ?? `User ${uid}`}</CardTitle>
      <CardBody>
        {error && <Failed error={error} what="This user" />}
        {data?.memberships.map((one) => (
          <LabelGroup key={one.gid} categoryName={path(one.gid)} numLabels={6}>
            {one.permissions.map((permission) => (
              <Label key={permission.pid} isCompact>
                {permission.name.replace("velocity.", "")}
              </Label>
            ))}
          </LabelGroup>
        ))}
        {data?.memberships.length === 0 && <Content>Holds no permission that you may see.</Content>}
      </CardBody>
    </Card>
  );
}
