/** Users: all of them, or one. */
import { Button, EmptyState, EmptyStateBody, Skeleton } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { Link, useNavigate, useParams, useSearchParams } from "react-router";
import { live, type User, useMay, useObjects, useReady } from "@/api/live";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import { useGroupPath } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";
import { called, short } from "@/ui/permissions";
import { Section } from "@/ui/Section";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { Held } from "./Held";
import { useGroupInfos } from "./members";
import { NewUser } from "./NewUser";
import { UserPage } from "./UserPage";
import "./people.css";
import { Tag } from "@/ui/labels";

/** Up to here each group is asked who its members are. */
const FEW = 40;

export default function Users() {
  const { uid } = useParams();
  return uid !== undefined && /^\d+$/.test(uid) ? <UserPage key={uid} uid={Number(uid)} /> : <Everyone />;
}

function Everyone() {
  const users = useObjects("user");
  const groups = useObjects("group");
  const knows = useSignal(live.knowsUsers);
  const ready = useReady();
  const may = useMay();
  const navigate = useNavigate();
  const [asked, ask] = useSearchParams();
  const [wish, setCreating] = useState(false);
  const create = groups.some((one) => may("user.create", one.gid));
  const give = groups.some((one) => may("user.assign", one.gid) && may("group.view", one.gid));
  const columns = useColumns();
  const creating = create && (wish || asked.has("create"));
  const close = () => {
    setCreating(false);
    if (asked.has("create")) ask({}, { replace: true });
  };
  return (
    <>
      <PageHead
        title="Users"
        about="Everyone who can sign in. Permissions are granted on groups."
        actions={create && <Button onClick={() => setCreating(true)}>Create a user</Button>}
      />
      <Section>
        {!ready ? (
          <Skeleton height="12rem" screenreaderText="Loading the users" />
        ) : !knows ? (
          <EmptyState titleText="You may not list the users" headingLevel="h2">
            <EmptyStateBody>
              This needs the permission {called("user.list")} on at least one group.{" "}
              <Link to={`/users/${session.present?.uid}`}>Your own permissions</Link> are shown in any case.
            </EmptyStateBody>
          </EmptyState>
        ) : (
          <DataTable
            id="users"
            label="Users"
            noun="user"
            rows={users}
            columns={columns}
            rowKey={(user) => user.uid}
            rowName={(user) => user.name}
            sortBy={{ key: "name" }}
            empty={<EmptyState titleText="There are no users" headingLevel="h2" />}
          />
        )}
      </Section>
      {creating && <NewUser onGive={give ? (uid) => navigate(`/users/${uid}?give`) : undefined} onClose={close} />}
    </>
  );
}

function useColumns(): Column<User>[] {
  const groups = useObjects("group");
  const may = useMay();
  const path = useGroupPath();
  const shown = groups.filter((one) => may("group.view", one.gid));
  const gids = shown.length > FEW ? [] : shown.map((one) => one.gid);
  const { infos } = useGroupInfos(gids);
  const asks = gids.length > 0;
  return useMemo(() => {
    const held = new Map<number, { gid: number; permissions: string[] }[]>();
    for (const info of infos)
      for (const { uid, permissions } of info.memberships)
        held.set(uid, [
          ...(held.get(uid) ?? []),
          { gid: info.gid, permissions: permissions.map((one) => short(one.name)) },
        ]);
    const all: Column<User>[] = [
      {
        key: "name",
        title: "Name",
        names: true,
        sort: (user) => user.name,
        cell: (user) => (
          <>
            <Link to={`/users/${user.uid}`}>{user.name}</Link> {user.uid === session.present?.uid && <Tag>you</Tag>}
          </>
        ),
      },
      {
        key: "uid",
        title: "ID",
        phone: "none",
        sort: (user) => user.uid,
        text: (user) => String(user.uid),
        cell: (user) => user.uid,
      },
    ];
    if (asks)
      all.push({
        key: "groups",
        title: "Permissions on",
        text: (user) => (held.get(user.uid) ?? []).map((one) => path(one.gid)).join(" "),
        cell: (user) =>
          (held.get(user.uid) ?? []).length === 0 ? (
            <span className="v-subtle">No permissions</span>
          ) : (
            held.get(user.uid)?.map((one) => (
              <span key={one.gid} className="v-above">
                <Link to={`/groups/${one.gid}`}>{path(one.gid)}</Link>
                <Held permissions={one.permissions} />
              </span>
            ))
          ),
      });
    return all;
  }, [infos, path, asks]);
}
