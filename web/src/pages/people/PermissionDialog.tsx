/** What a user may do on a group: given and taken by one form, from either page. */
import { FormGroup, Skeleton, TextInput } from "@patternfly/react-core";
import { useMemo, useState } from "react";
import { live, useMay, useObjects } from "@/api/live";
import { session } from "@/api/session";
import { useSignal } from "@/api/signal";
import { Choose } from "@/ui/Choose";
import { FormDialog, Hint } from "@/ui/FormDialog";
import { ROOT, useGroupPath } from "@/ui/groups";
import { called, changes } from "@/ui/permissions";
import { linesOf, requestsOf, runChanges, said, type Whom } from "./grants";
import { useMembers } from "./members";
import { Picker } from "./Picker";

export const ROOT_USER = 0;

/** Why the caller cannot give or take a permission there. */
export function useWhyNot(gid: number, uid: number | undefined) {
  const may = useMay();
  return useMemo(
    () => (permission: string, give: boolean) => {
      if (!give && uid === ROOT_USER && gid === ROOT) return "The root user always has it.";
      const needed = give ? "user.assign" : "user.revoke";
      if (!may(needed, gid)) return `You need ${called(needed)} here.`;
      return may(permission, gid) ? undefined : "You do not have it here yourself.";
    },
    [may, gid, uid],
  );
}

export function PermissionDialog({
  gid: fixedGid,
  whom,
  onClose,
}: {
  /** Absent: it is chosen. One of the two is there. */
  gid?: number;
  whom?: Whom;
  onClose: () => void;
}) {
  const users = useObjects("user");
  const groups = useObjects("group");
  const may = useMay();
  const path = useGroupPath();
  const [uid, setUid] = useState("");
  const [gid, setGid] = useState(fixedGid === undefined ? "" : String(fixedGid));
  const knows = useSignal(live.knowsUsers);
  const typed = !knows && /^\d{1,15}$/.test(uid) ? { uid: Number(uid), name: `user ${uid}` } : undefined;
  const found = whom ?? users.find((user) => String(user.uid) === uid) ?? typed;
  const canCreate = groups.some((group) => may("user.create", group.gid));
  const places = groups
    .filter((group) => may("user.assign", group.gid) && may("group.view", group.gid))
    .map((group) => ({ value: String(group.gid), label: path(group.gid) }))
    .sort((a, b) => a.label.localeCompare(b.label, undefined, { numeric: true }));
  const where = gid === "" ? undefined : { gid: Number(gid), path: path(Number(gid)) };
  return (
    <Changing
      key={gid}
      whom={found}
      where={where}
      onClose={onClose}
      choosing={
        <>
          {!whom && !knows && (
            <FormGroup label="User, by its uid" fieldId="permission-uid" isRequired>
              <TextInput
                id="permission-uid"
                value={uid}
                inputMode="numeric"
                autoComplete="off"
                aria-describedby="permission-uid-hint"
                onChange={(_event, value) => setUid(value.trim())}
              />
              <Hint id="permission-uid-hint">You may not list the users. Users find their own uid on their page.</Hint>
            </FormGroup>
          )}
          {!whom && knows && (
            <FormGroup label="User" fieldId="permission-user" isRequired>
              <Choose
                id="permission-user"
                value={uid}
                choices={[
                  { value: "", label: "Choose a user", disabled: true },
                  ...[...users]
                    .sort((a, b) => a.name.localeCompare(b.name))
                    .map((user) => ({ value: String(user.uid), label: user.name })),
                ]}
                onChange={setUid}
              />
              {canCreate && <Hint>Create new users on the page Users first.</Hint>}
            </FormGroup>
          )}
          {fixedGid === undefined && (
            <FormGroup label="Group" fieldId="permission-group" isRequired>
              <Choose
                id="permission-group"
                value={gid}
                choices={[{ value: "", label: "Choose a group", disabled: true }, ...places]}
                onChange={setGid}
              />
            </FormGroup>
          )}
        </>
      }
    />
  );
}

function Changing({
  whom,
  where,
  choosing,
  onClose,
}: {
  whom: Whom | undefined;
  where: { gid: number; path: string } | undefined;
  choosing: React.ReactNode;
  onClose: () => void;
}) {
  const { members, isPending } = useMembers(where?.gid ?? -1);
  const member = members.find((one) => one.uid === whom?.uid);
  const held = useMemo(() => new Set(member?.direct), [member]);
  const [choice, setChoice] = useState<{ uid: number | undefined; wanted: ReadonlySet<string> }>();
  const wanted = choice && choice.uid === whom?.uid ? choice.wanted : held;
  const whyNot = useWhyNot(where?.gid ?? -1, whom?.uid);
  const above = new Map(
    (member?.above ?? []).flatMap((one) => one.permissions.map((name) => [name, one.name] as const)),
  );
  const all = changes(held, wanted);
  const complete = whom !== undefined && where !== undefined;
  return (
    <FormDialog
      wide
      title={complete ? `What ${whom.name} may do on ${where.path}` : "Grant permissions"}
      about="Permissions on a group apply to it and to all groups below it."
      verb={
        all.length > 0
          ? `${all.every((one) => one.verb === "revoke") ? "Revoke" : all.every((one) => one.verb === "grant") ? "Grant" : "Change"} ${all.length}`
          : "Save"
      }
      ready={complete && all.length > 0}
      missing={complete ? "Tick or untick a permission first." : undefined}
      cli={complete ? linesOf(whom, where, all) : []}
      request={complete ? requestsOf(whom, where, all) : []}
      onSubmit={async () => complete && (await runChanges(whom, where, all))}
      onClose={onClose}
    >
      {choosing}
      {complete && isPending && <Skeleton height="20rem" screenreaderText="Reading what is held" />}
      {complete && !isPending && (
        <>
          {whom.uid === session.present?.uid && (
            <Hint>These are your own permissions: you may not be able to give back what you take away.</Hint>
          )}
          <Picker
            held={held}
            wanted={wanted}
            limits={{ whyNot, above }}
            onChange={(next) => setChoice({ uid: whom.uid, wanted: next })}
          />
          {all.length > 0 && <Hint>To be done: {said(all)}.</Hint>}
        </>
      )}
    </FormDialog>
  );
}
