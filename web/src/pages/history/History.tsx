/** Who did what, when and from where, and what was refused. */
import { Button, EmptyState, EmptyStateBody, Skeleton } from "@patternfly/react-core";
import { useMemo } from "react";
import { Link } from "react-router";
import { useObjects } from "@/api/live";
import { Filter } from "@/ui/Choose";
import { Failed } from "@/ui/Failed";
import { moment, timeZone } from "@/ui/format";
import { useGroupsWhere } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";
import { called } from "@/ui/permissions";
import { Section } from "@/ui/Section";
import { type Column, DataTable } from "@/ui/table/DataTable";
import { useAddress } from "@/ui/useAddress";
import { useEntries, type Wanted } from "./entries";
import { folded, type Line } from "./folded";
import { isRefused, partsOf, whoOf, whyRefused } from "./Happened";
import { useNames } from "./names";
import { From, Outcome, RequestId, What } from "./Outcome";
import type { Entry } from "./paging";
import { plain } from "./parts";
import type { Names } from "./sentence";

function clearFilters(address: URLSearchParams): void {
  for (const name of ["group", "user", "outcome"]) address.delete(name);
}

export default function History() {
  const [asked, change] = useAddress();
  const groups = useGroupsWhere("user.view");
  const users = useObjects("user");
  const names = useNames();
  const [gid, uid, outcome] = [asked.get("group") ?? "", asked.get("user") ?? "", asked.get("outcome") ?? ""];
  const chosen = gid || String(top(groups)?.gid ?? "");
  const wanted = useMemo<Wanted>(
    () => ({
      gid: Number(chosen || 0),
      ...(uid ? { uid: Number(uid) } : {}),
      ...(outcome ? { refused: outcome === "refused" } : {}),
    }),
    [chosen, uid, outcome],
  );
  const { known, error, reading, again, older } = useEntries(wanted, undefined, groups.length > 0);
  const lines = useMemo(() => folded(known?.entries ?? NONE), [known]);
  const columns = useMemo<Column<Line>[]>(
    () => [
      {
        key: "when",
        title: "When",
        width: "13rem",
        nowrap: true,
        cell: (one) => <time dateTime={new Date(one.at * 1000).toISOString()}>{moment(one.at)}</time>,
        sort: (one) => one.hid,
        text: (one) => moment(one.at),
      },
      {
        key: "who",
        title: "Who",
        width: "7rem",
        cell: (one) => <Who entry={one} names={names} />,
        sort: (one) => one.name,
      },
      {
        key: "what",
        title: "What",
        names: true,
        cell: (one) => <What entry={one} names={names} />,
        text: (one) => `${plain(partsOf(one, names))} ${one.operation}`,
      },
      {
        key: "outcome",
        title: "Outcome",
        width: "7rem",
        nowrap: true,
        cell: (one) => <Outcome entry={one} />,
        text: (one) => (isRefused(one) ? `refused ${whyRefused(one, names)} ${one.code ?? ""}` : "done"),
      },
      {
        key: "from",
        title: "From",
        width: "8rem",
        nowrap: true,
        cell: (one) => <From entry={one} />,
        sort: (one) => one.address,
      },
      {
        key: "request",
        title: "Request",
        cell: (one) => <RequestId id={one.request} />,
        text: (one) => one.request,
        optional: true,
      },
      {
        key: "group",
        title: "Group",
        cell: (one) => names.group(one.gid) ?? `group ${one.gid}`,
        text: (one) => names.group(one.gid) ?? "",
        optional: true,
      },
      { key: "operation", title: "Operation", cell: (one) => <code>{one.operation}</code>, optional: true },
      { key: "target", title: "Target", cell: (one) => <code>{one.target}</code>, optional: true },
    ],
    [names],
  );
  const set = (name: string) => (value: string) => change((now) => (value ? now.set(name, value) : now.delete(name)));
  return (
    <>
      <PageHead
        title="History"
        about={`Changes, sign-ins and refused requests, newest first. Times are in ${timeZone()}.`}
      />
      <Section>
        {groups.length === 0 ? (
          <EmptyState titleText="You may not see the history" headingLevel="h2">
            <EmptyStateBody>
              It needs the permission {called("user.view")} on a group; who manages yours can give it.
            </EmptyStateBody>
          </EmptyState>
        ) : error && !known ? (
          <Failed error={error} what="The history" again={again} />
        ) : (
          <DataTable
            id="history"
            label="History"
            noun="entry"
            nouns="entries"
            rows={lines}
            columns={columns}
            rowKey={(one) => one.hid}
            rowName={(one) => one.request}
            sortBy={{ key: "when", down: true }}
            filters={
              <>
                <Filter
                  label="User"
                  all="All users"
                  value={uid}
                  onChange={set("user")}
                  choices={whom(users, known?.entries ?? NONE, uid)}
                />
                {groups.length > 1 && (
                  <Filter
                    label="Group"
                    all={top(groups)?.gid === 0 ? "All groups" : `${top(groups)?.path} and below`}
                    value={gid}
                    onChange={set("group")}
                    choices={groups
                      .filter((group) => group.gid !== top(groups)?.gid)
                      .map((group) => ({ value: String(group.gid), label: `${group.path} and below` }))}
                  />
                )}
                <Filter
                  label="Outcome"
                  all="Completed or refused"
                  value={outcome}
                  onChange={set("outcome")}
                  choices={[
                    { value: "done", label: "Only completed requests" },
                    { value: "refused", label: "Only refused requests" },
                  ]}
                />
              </>
            }
            empty={
              !known ? (
                <Skeleton height="10rem" screenreaderText="Loading the history" />
              ) : (
                <EmptyState titleText="No entries match the filters" headingLevel="h2">
                  <EmptyStateBody>
                    {uid || gid || outcome ? (
                      <Button variant="link" onClick={() => change(clearFilters)}>
                        Clear the filters
                      </Button>
                    ) : (
                      "New entries will appear here."
                    )}
                  </EmptyStateBody>
                </EmptyState>
              )
            }
          />
        )}
        {known && known.entries.length > 0 && (
          <div className="v-more">
            {known.whole ? (
              <span className="v-subtle">End of the history.</span>
            ) : (
              <Button variant="secondary" isLoading={reading} isDisabled={reading} onClick={older}>
                Older
              </Button>
            )}
          </div>
        )}
      </Section>
    </>
  );
}

const NONE: Entry[] = [];

/** The group with the widest view: the root if the caller may see it, else the first one. */
const top = <G extends { gid: number }>(groups: readonly G[]): G | undefined =>
  groups.find((group) => group.gid === 0) ?? groups[0];

function whom(users: readonly { uid: number; name: string }[], entries: readonly Entry[], chosen: string) {
  const names = new Map<number, string>();
  if (chosen) names.set(Number(chosen), `user ${chosen}`);
  for (const entry of entries) if (entry.uid !== undefined && entry.name) names.set(entry.uid, entry.name);
  for (const user of users) names.set(user.uid, user.name);
  return [...names]
    .map(([uid, name]) => ({ value: String(uid), label: name }))
    .sort((a, b) => a.label.localeCompare(b.label));
}

function Who({ entry, names }: { entry: Entry; names: Names }) {
  if (entry.uid === undefined) return whoOf(entry, names) ?? <span className="v-subtle">not signed in</span>;
  return (
    <Link to={`/users/${entry.uid}`}>
      <bdi>{whoOf(entry, names)}</bdi>
    </Link>
  );
}
