/** The answer to "why": yes or no as a sentence, group by group, who could give it, and what would make it otherwise. */
import { Alert, Button, Content, Skeleton } from "@patternfly/react-core";
import { keepPreviousData, useQuery } from "@tanstack/react-query";
import { Link } from "react-router";
import { type Body, call } from "@/api/call";
import { useMay } from "@/api/live";
import { useAnswer } from "@/api/queries";
import type { Supposed } from "@/api/schema";
import { session } from "@/api/session";
import { Failed } from "../Failed";
import { useGroupPath } from "../groups";
import { called } from "../permissions";
import { Sentence } from "../Sentence";
import { NAMES } from "../texts/names";
import { fullWords } from "../vmQuota";
import { told } from "./answer";
import type { Suppositions } from "./question";
import "./why.css";
import { Status } from "../labels";

export function Answered({
  body,
  uid,
  name,
  supposed,
  onSuppose,
  onLeave,
}: {
  body: Body<"/u/why", "post">;
  uid: number;
  name: string;
  supposed: Suppositions;
  onSuppose: (supposed: Suppositions) => void;
  onLeave: () => void;
}) {
  const path = useGroupPath();
  const may = useMay();
  const { data, error } = useQuery({
    queryKey: ["/u/why", "post", body],
    queryFn: () => call("post", "/u/why", body),
    gcTime: 0,
    placeholderData: keepPreviousData,
  });
  if (error) return <Failed error={error} what="The answer" />;
  if (!data) return <Skeleton height="6rem" screenreaderText="Asking" />;
  const { allowed, message, permission, line = [], ask = [] } = data;
  const short = permission?.replace(/^velocity\./, "");
  const has = (all: readonly Supposed[], gid: number) =>
    all.some((one) => one.gid === gid && one.permission === permission);
  const without = (all: readonly Supposed[], gid: number) =>
    all.filter((one) => one.gid !== gid || one.permission !== permission);
  const suppose = (kind: keyof Suppositions, gid: number) => {
    if (!permission) return;
    const next = { granted: without(supposed.granted, gid), revoked: without(supposed.revoked, gid) };
    onSuppose({ ...next, [kind]: [...next[kind], { gid, permission }] });
  };
  const forget = (gid: number) =>
    onSuppose({ granted: without(supposed.granted, gid), revoked: without(supposed.revoked, gid) });
  const isWhatIf = supposed.granted.length + supposed.revoked.length > 0;
  const giver = short !== undefined && line.find((one) => may("user.assign", one.gid) && may(short, one.gid));
  return (
    <div aria-live="polite" className="v-why">
      <Alert
        component="p"
        isInline
        variant={allowed ? "success" : "warning"}
        title={`${allowed ? "Yes" : "No"}${isWhatIf ? ", if it were so" : ""}`}
      >
        {told(message, NAMES, name, uid === session.present?.uid)}.
      </Alert>
      {allowed && body.operation === "create_vm" && typeof body.gid === "number" && (
        <Full gid={body.gid} onLeave={onLeave} />
      )}
      {line.length > 0 && short && (
        <>
          <Content component="p">
            <strong>{called(short)}</strong> was looked for in these groups, up to the root group:
          </Content>
          <ul className="v-why-line">
            {line.map((place) => {
              const [given, taken] = [has(supposed.granted, place.gid), has(supposed.revoked, place.gid)];
              return (
                <li key={place.gid}>
                  <Status tone={place.held ? "ok" : "off"}>{place.held ? "held" : "not held"}</Status>
                  <Link to={`/groups/${place.gid}`} onClick={onLeave} className="v-why-name">
                    {path(place.gid)}
                  </Link>
                  {given || taken ? (
                    <>
                      <span>assumed to be {given ? "given" : "taken"}</span>
                      <Button
                        variant="link"
                        isInline
                        onClick={() => forget(place.gid)}
                        aria-label={`Undo the assumption about ${path(place.gid)}`}
                      >
                        Undo
                      </Button>
                    </>
                  ) : place.held ? (
                    <Button variant="link" isInline onClick={() => suppose("revoked", place.gid)}>
                      What if it were taken away?
                    </Button>
                  ) : (
                    <Button variant="link" isInline onClick={() => suppose("granted", place.gid)}>
                      What if it were given here?
                    </Button>
                  )}
                </li>
              );
            })}
          </ul>
        </>
      )}
      {!allowed && ask.length > 0 && (
        <Content component="p">Who could give it: {ask.map((one) => one.name).join(", ")}.</Content>
      )}
      {!allowed && giver && (
        <Content component="p">
          You can give it:{" "}
          <Link to={`/users/${uid}?give=${giver.gid}`} onClick={onLeave}>
            permissions of {name} on {path(giver.gid)}
          </Link>
        </Content>
      )}
    </div>
  );
}

/** Quotas are no permissions: who may create VMs can find no room for one. */
function Full({ gid, onLeave }: { gid: number; onLeave: () => void }) {
  const path = useGroupPath();
  const sees = useMay()("group.view", gid);
  const { data } = useAnswer("post", "/u/group/quota", { gid }, { topics: ["quota"], enabled: sees });
  const full = data && fullWords(path(gid), data);
  if (!full) return null;
  return (
    <Alert component="p" isInline variant="warning" title="The quota is used up">
      <Sentence>{full}</Sentence>{" "}
      <Link to={`/groups/${gid}`} onClick={onLeave}>
        Show the quota
      </Link>
    </Alert>
  );
}
