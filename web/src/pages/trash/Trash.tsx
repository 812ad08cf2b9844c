/** What was deleted: over all groups in which the caller could have deleted it, with a way back. */
import { Button, EmptyState, EmptyStateBody, Skeleton } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { useObjects } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { TrashItem } from "@/api/schema";
import { Icon } from "@/look/Icon";
import { Filter } from "@/ui/Choose";
import { Failed } from "@/ui/Failed";
import { bytes, count } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { NONE, Tag } from "@/ui/labels";
import { PageHead } from "@/ui/PageHead";
import { PathText } from "@/ui/PathText";
import { Section } from "@/ui/Section";
import { Sentence } from "@/ui/Sentence";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { useAddress } from "@/ui/useAddress";
import { When } from "@/ui/When";
import { TrashDialog, type TrashRequest } from "./TrashDialog";

const KINDS = {
  vm: { label: "VM", icon: "vm" },
  medium: { label: "Medium", icon: "disc" },
  group: { label: "Group", icon: "groups" },
} as const;

export default function Trash() {
  const trash = useAnswer("post", "/t/trash/list", {}, { topics: ["trash"] });
  const path = useGroupPath();
  const users = useObjects("user");
  const [address, change] = useAddress();
  const [kind, gid] = [address.get("kind") ?? "", address.get("group") ?? ""];
  const choose = (name: string) => (value: string) =>
    change((now) => (value ? now.set(name, value) : now.delete(name)));
  const [asked, setAsked] = useState<TrashRequest>();
  const items = useMemo(() => trash.data?.items ?? [], [trash.data]);
  const shown = useMemo(
    () => items.filter((one) => (!kind || one.kind === kind) && (!gid || String(one.gid) === gid)),
    [items, kind, gid],
  );
  const gids = useMemo(
    () => [...new Set([...items.map((one) => String(one.gid)), ...(gid ? [gid] : [])])],
    [items, gid],
  );
  const columns = useMemo<Column<TrashItem>[]>(() => {
    const names = new Map(users.map((user) => [user.uid, user.name]));
    const who = (uid: number) => names.get(uid) ?? `user ${uid}`;
    return [
      {
        key: "name",
        title: "Name",
        names: true,
        cell: (one) => <Name item={one} />,
        sort: (one) => one.name,
        text: (one) => [one.name, ...(one.disks ?? [])].join(" "),
      },
      {
        key: "kind",
        title: "Kind",
        width: "6.5rem",
        phone: "first",
        cell: (one) => (
          <Tag>
            <Icon name={KINDS[one.kind].icon} />
            {KINDS[one.kind].label}
          </Tag>
        ),
        sort: (one) => KINDS[one.kind].label,
      },
      {
        key: "group",
        title: "Group",
        cell: (one) => <PathText path={path(one.gid)} before={one.kind === "group" ? "under " : ""} />,
        sort: (one) => path(one.gid),
      },
      {
        key: "size",
        title: "Size",
        width: "6.5rem",
        nowrap: true,
        number: true,
        cell: (one) => (one.size ? bytes(one.size) : NONE),
        sort: (one) => one.size,
      },
      {
        key: "deleted",
        title: "Deleted",
        width: "7.5rem",
        nowrap: true,
        cell: (one) => (
          <div>
            <When at={one.deleted} />
            <br />
            <small className="v-subtle">
              by <bdi>{who(one.uid)}</bdi>
            </small>
          </div>
        ),
        sort: (one) => one.deleted,
        text: (one) => who(one.uid),
      },
      {
        key: "expires",
        title: "Expires",
        width: "6.5rem",
        phone: "none",
        nowrap: true,
        cell: (one) => <When at={one.expires} />,
        sort: (one) => one.expires,
      },
      { key: "id", title: "ID", cell: (one) => one.id, sort: (one) => one.id, optional: true },
    ];
  }, [path, users]);
  const empty = gid ? `Empty the trash of ${path(Number(gid))}` : "Empty the trash";
  return (
    <>
      <PageHead
        title="Trash"
        about="Deleted objects can be restored, with their ids, until they expire or their space is needed."
        actions={
          items.length > 0 && (
            <Button
              variant="secondary"
              isDanger
              isDisabled={shown.length === 0}
              onClick={() => setAsked({ verb: "purge", items: shown, title: `${empty}?`, all: !kind && !gid })}
            >
              {kind || gid ? `Delete ${count(shown.length, "item")} permanently` : "Empty the trash"}
            </Button>
          )
        }
      />
      <Section>
        {trash.error && !trash.data ? (
          <Failed error={trash.error} what="The trash" again={() => void trash.refetch()} />
        ) : trash.isPending ? (
          <Skeleton height="10rem" screenreaderText="Loading the trash" />
        ) : (
          <DataTable
            id="trash"
            label="Trash"
            noun="item"
            rows={shown}
            columns={columns}
            rowKey={keyOf}
            rowName={nameOf}
            sortBy={{ key: "deleted", down: true }}
            filters={
              items.length > 0 && (
                <>
                  <Filter
                    label="Kind"
                    all="All kinds"
                    value={kind}
                    onChange={choose("kind")}
                    choices={Object.entries(KINDS).map(([value, { label }]) => ({ value, label }))}
                  />
                  <Filter
                    label="Group"
                    all="All groups"
                    value={gid}
                    onChange={choose("group")}
                    choices={gids.map((value) => ({ value, label: path(Number(value)) }))}
                  />
                </>
              )
            }
            bulk={(selected, clear) => (
              <>
                <div>
                  <Button onClick={() => setAsked({ verb: "restore", items: selected, after: clear })}>Restore</Button>
                </div>
                <div>
                  <Button
                    variant="secondary"
                    isDanger
                    onClick={() => setAsked({ verb: "purge", items: selected, after: clear })}
                  >
                    Delete permanently
                  </Button>
                </div>
              </>
            )}
            actionsWidth="13rem"
            rowActions={(one) => (
              <>
                <Button variant="link" size="sm" onClick={() => setAsked({ verb: "restore", items: [one] })}>
                  Restore<span className="v-hidden-text"> {one.name}</span>
                </Button>
                <Button variant="link" size="sm" isDanger onClick={() => setAsked({ verb: "purge", items: [one] })}>
                  Delete permanently<span className="v-hidden-text"> {one.name}</span>
                </Button>
              </>
            )}
            empty={
              items.length > 0 ? (
                <EmptyState titleText="No items match the filters" headingLevel="h2">
                  <EmptyStateBody>
                    <Button
                      variant="link"
                      onClick={() =>
                        change((now) => {
                          now.delete("kind");
                          now.delete("group");
                        })
                      }
                    >
                      Clear the filters
                    </Button>
                  </EmptyStateBody>
                </EmptyState>
              ) : (
                <EmptyState titleText="The trash is empty" headingLevel="h2">
                  <EmptyStateBody>Deleted VMs, media and groups are kept here for a while.</EmptyStateBody>
                </EmptyState>
              )
            }
          />
        )}
      </Section>
      {asked && <TrashDialog asked={asked} onClose={() => setAsked(undefined)} />}
    </>
  );
}

/** With the disks that come back with it. */
function Name({ item: { name, disks } }: { item: TrashItem }) {
  if (!disks) return <>{name}</>;
  const words = `with ${count(disks.length, "disk")}: ${disks.join(", ")}`;
  return (
    <div>
      <bdi>{name}</bdi>
      <span className="v-below-name">
        <Sentence>{words}</Sentence>
      </span>
    </div>
  );
}

const keyOf = (one: TrashItem) => one.trid;
const nameOf = (one: TrashItem) => one.name;
