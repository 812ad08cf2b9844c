/** One user: what is held where, as far as the caller may see it, and what the caller may change of it. */

import {
  Alert,
  Button,
  Card,
  CardBody,
  CardHeader,
  CardTitle,
  Content,
  EmptyState,
  EmptyStateActions,
  EmptyStateFooter,
  Skeleton,
} from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { Link, useNavigate, useSearchParams } from "react-router";
import { ApiError } from "@/api/http";
import { useMay, useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { UserInfo } from "@/api/schema";
import { session } from "@/api/session";
import { Icon } from "@/look/Icon";
import { Failed } from "@/ui/Failed";
import { ROOT, useGroupPath, useGroupsWhere } from "@/ui/groups";
import { LinkButton } from "@/ui/LinkButton";
import { Tag } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { short } from "@/ui/permissions";
import { Section } from "@/ui/Section";
import { WhyButton } from "@/ui/WhyButton";
import { ChangeHome } from "./ChangeHome";
import { Held } from "./Held";
import { canTakeAll } from "./Members";
import { PermissionDialog, ROOT_USER } from "./PermissionDialog";
import { RemoveUser } from "./RemoveUser";
import { RevokeAll } from "./RevokeAll";
import { SetPassword } from "./SetPassword";

const TRAIL = [{ to: "/users", title: "Users" }];

export function UserPage({ uid }: { uid: number }) {
  const known = useObjects("user").find((one) => one.uid === uid);
  const me = uid === session.present?.uid;
  const path = useGroupPath();
  const { data, error, refetch } = useAnswer("post", "/u/user", { uid }, { topics: ["history"] });
  const gone = error instanceof ApiError && error.status === 404;
  const name = gone
    ? "No such user"
    : (data?.name ?? known?.name ?? (me ? session.present?.name : undefined) ?? `User ${uid}`);
  return (
    <>
      <PageHead
        title={name}
        trail={TRAIL}
        status={me && <Tag>you</Tag>}
        about={
          !gone &&
          [`ID ${uid}`, data?.home !== undefined && `home group: ${path(data.home)}`].filter(Boolean).join(", ")
        }
        actions={data && <Actions user={data} />}
      />
      <Section>
        {gone ? (
          <EmptyState headingLevel="h2" titleText="There is no such user, or you may not view them">
            <EmptyStateFooter>
              <EmptyStateActions>
                <LinkButton to="/users">All users</LinkButton>
              </EmptyStateActions>
            </EmptyStateFooter>
          </EmptyState>
        ) : error ? (
          <Failed error={error} what="What this user may do" again={() => void refetch()} />
        ) : data ? (
          <Memberships user={data} />
        ) : (
          <Skeleton height="10rem" screenreaderText="Loading the user" />
        )}
      </Section>
    </>
  );
}

function Actions({ user }: { user: UserInfo }) {
  const may = useMay();
  const navigate = useNavigate();
  const [wish, setWish] = useState<"password" | "home" | "remove">();
  const { uid, memberships, home } = user;
  const me = uid === session.present?.uid;
  const several = useGroupsWhere("user.remove").length > 1;
  const removes =
    home !== undefined && [home, ...memberships.map((one) => one.gid)].every((gid) => may("user.remove", gid));
  const dominates = memberships.every((one) => one.permissions.every((it) => may(short(it.name), one.gid)));
  const close = () => setWish(undefined);
  return (
    <>
      <WhyButton question={{ uid }} label="What may this user do?" variant="secondary" icon={<Icon name="eye" />} />
      {me && (
        <LinkButton to="/settings" variant="secondary" icon={<Icon name="settings" />}>
          My settings
        </LinkButton>
      )}
      {!me && removes && dominates && (
        <Button variant="secondary" icon={<Icon name="lock" />} onClick={() => setWish("password")}>
          Set the password
        </Button>
      )}
      {home !== undefined && may("user.remove", home) && several && (
        <Button variant="secondary" icon={<Icon name="groups" />} onClick={() => setWish("home")}>
          Change the home group
        </Button>
      )}
      {!me && uid !== ROOT_USER && removes && (
        <Button variant="secondary" isDanger icon={<Icon name="trash" />} onClick={() => setWish("remove")}>
          Remove
        </Button>
      )}
      {wish === "home" && <ChangeHome user={user} onClose={close} />}
      {wish === "password" && <SetPassword whom={user} onClose={close} />}
      {wish === "remove" && (
        <RemoveUser whom={user} onDone={() => navigate("/users", { replace: true })} onClose={close} />
      )}
    </>
  );
}

function Memberships({ user }: { user: UserInfo }) {
  const may = useMay();
  const path = useGroupPath();
  const groups = useObjects("group");
  const [asked, ask] = useSearchParams();
  const [wish, setWish] = useState<{ is: "give" | "revoke"; gid?: number }>();
  const give = groups.some((one) => may("user.assign", one.gid) && may("group.view", one.gid));
  const wanted = asked.get("give");
  const giving =
    wish ??
    (wanted !== null && give
      ? { is: "give" as const, ...(/^\d+$/.test(wanted) ? { gid: Number(wanted) } : {}) }
      : undefined);
  const close = () => {
    setWish(undefined);
    if (wanted !== null) ask({}, { replace: true });
  };
  const rows = user.memberships
    .map((one) => ({ ...one, path: path(one.gid), held: one.permissions.map((it) => short(it.name)) }))
    .sort((a, b) => a.path.localeCompare(b.path, undefined, { numeric: true }));
  return (
    <Card isCompact>
      <CardHeader
        actions={
          give
            ? {
                actions: (
                  <Button variant="link" isInline onClick={() => setWish({ is: "give" })}>
                    Grant permissions
                  </Button>
                ),
              }
            : undefined
        }
      >
        <CardTitle component="h2">Permissions</CardTitle>
      </CardHeader>
      <CardBody className="v-people-stack">
        {rows.length === 0 ? (
          <Alert
            component="p"
            isInline
            isPlain
            variant="info"
            title={
              user.uid === session.present?.uid ? "You have no permissions yet" : "No permissions that you may see"
            }
          >
            Without permissions on a group, a user can sign in but sees nothing.
          </Alert>
        ) : (
          <Table role="table" aria-label="Permissions" variant="compact" gridBreakPoint="grid-md">
            <Thead>
              <Tr>
                <Th>Group, with all groups below it</Th>
                <Th>Permissions there</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {rows.map((row) => (
                <Tr key={row.gid}>
                  <Td dataLabel="Group" className="v-name">
                    <Link to={`/groups/${row.gid}`}>{row.path}</Link>
                  </Td>
                  <Td dataLabel="Permissions there">
                    <Held permissions={row.held} />
                  </Td>
                  <Td>
                    <span className="v-actions">
                      {(may("user.assign", row.gid) || may("user.revoke", row.gid)) && may("group.view", row.gid) && (
                        <Button
                          variant="link"
                          isInline
                          onClick={() => setWish({ is: "give", gid: row.gid })}
                          aria-label={`Change what ${user.name} may do on ${row.path}`}
                        >
                          Change
                        </Button>
                      )}
                      {canTakeAll(may, row.gid, { uid: user.uid, direct: row.held }) && (
                        <Button
                          variant="link"
                          isInline
                          isDanger
                          onClick={() => setWish({ is: "revoke", gid: row.gid })}
                          aria-label={`Revoke all permissions of ${user.name} on ${row.path}`}
                        >
                          Revoke all
                        </Button>
                      )}
                    </span>
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        )}
        {user.uid !== session.present?.uid && !may("user.view", ROOT) && (
          <Content component="small" className="v-subtle">
            Groups whose members you may not see are not listed.
          </Content>
        )}
      </CardBody>
      {giving?.is === "give" && (
        <PermissionDialog whom={user} {...(giving.gid === undefined ? {} : { gid: giving.gid })} onClose={close} />
      )}
      {giving?.is === "revoke" && giving.gid !== undefined && (
        <RevokeAll whom={user} where={{ gid: giving.gid, path: path(giving.gid) }} onClose={close} />
      )}
    </Card>
  );
}
