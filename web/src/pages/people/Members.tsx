/** Who may do what on a group: what was given here, and what comes from the groups above. */
import { Button, Card, CardBody, CardHeader, CardTitle, Content, Skeleton } from "@patternfly/react-core";
import { Table, Tbody, Td, Th, Thead, Tr } from "@patternfly/react-table";
import { useState } from "react";
import { Link } from "react-router";
import { useMay } from "@/api/live";
import { Failed } from "@/ui/Failed";
import { groupTitle, ROOT, useGroupPath } from "@/ui/groups";
import { WhyButton } from "@/ui/WhyButton";
import type { Whom } from "./grants";
import { Held } from "./Held";
import type { Member } from "./joined";
import { useMembers } from "./members";
import { PermissionDialog, ROOT_USER } from "./PermissionDialog";
import { RevokeAll } from "./RevokeAll";

export function Members({ gid }: { gid: number }) {
  const may = useMay();
  const [wish, setWish] = useState<{ is: "give" } | { is: "change" | "revoke"; member: Member }>();
  const { members, error, isPending, hidden } = useMembers(gid);
  const path = useGroupPath();
  const change = may("user.assign", gid) || may("user.revoke", gid);
  const whom: Whom | undefined = wish && "member" in wish ? wish.member : undefined;
  const close = () => setWish(undefined);
  return (
    <Card isCompact>
      <CardHeader
        actions={
          may("user.assign", gid)
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
        <CardTitle component="h3">Members</CardTitle>
      </CardHeader>
      <CardBody>
        {error ? (
          <Failed error={error} what="The members" />
        ) : isPending ? (
          <Skeleton height="6rem" screenreaderText="Loading the members" />
        ) : members.length === 0 ? (
          <Content component="p" className="v-subtle">
            Nobody has permissions here.
          </Content>
        ) : (
          <Table role="table" aria-label="Members" variant="compact" gridBreakPoint="grid-xl">
            <Thead>
              <Tr>
                <Th width={20}>User</Th>
                <Th modifier="nowrap">Given here</Th>
                <Th modifier="nowrap">From groups above</Th>
                <Th screenReaderText="Actions" />
              </Tr>
            </Thead>
            <Tbody>
              {members.map((member) => (
                <Tr key={member.uid}>
                  <Td dataLabel="User" className="v-name">
                    <Link to={`/users/${member.uid}`}>{member.name}</Link>
                  </Td>
                  <Td dataLabel="Given here">
                    <Held permissions={member.direct} />
                  </Td>
                  <Td dataLabel="From groups above">
                    {member.above.length === 0 && <span className="v-subtle">nothing</span>}
                    {member.above.map((one) => (
                      <span key={one.gid} className="v-above">
                        <Link to={`/groups/${one.gid}`}>{path(one.gid)}</Link>
                        <Held permissions={one.permissions} muted />
                      </span>
                    ))}
                  </Td>
                  <Td>
                    <span className="v-actions">
                      {change && (
                        <Button
                          variant="link"
                          isInline
                          onClick={() => setWish({ is: "change", member })}
                          aria-label={`Change what ${member.name} may do here`}
                        >
                          Change
                        </Button>
                      )}
                      {member.direct.length > 0 && canTakeAll(may, gid, member) && (
                        <Button
                          variant="link"
                          isInline
                          isDanger
                          onClick={() => setWish({ is: "revoke", member })}
                          aria-label={`Revoke all permissions of ${member.name} here`}
                        >
                          Revoke all
                        </Button>
                      )}
                      <WhyButton question={{ uid: member.uid, gid }} label="Why" name={member.name} />
                    </span>
                  </Td>
                </Tr>
              ))}
            </Tbody>
          </Table>
        )}
        {hidden.length > 0 && (
          <Content component="small" className="v-subtle">
            Users who have permissions on {hidden.map(groupTitle).join(", ")} have them here too, and are not shown to
            you.
          </Content>
        )}
      </CardBody>
      {wish?.is === "give" && <PermissionDialog gid={gid} onClose={close} />}
      {wish?.is === "change" && whom && <PermissionDialog gid={gid} whom={whom} onClose={close} />}
      {wish?.is === "revoke" && whom && <RevokeAll whom={whom} where={{ gid, path: path(gid) }} onClose={close} />}
    </Card>
  );
}

/** All at once needs each of them; and the root user keeps what they have on the root group. */
export function canTakeAll(
  may: (permission: string, gid: number) => boolean,
  gid: number,
  member: { uid: number; direct: readonly string[] },
): boolean {
  if (member.uid === ROOT_USER && gid === ROOT) return false;
  return may("user.revoke", gid) && member.direct.every((name) => may(name, gid));
}
