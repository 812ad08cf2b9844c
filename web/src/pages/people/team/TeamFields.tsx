/** The fields of a new team: group, first member, quota and pool; what the caller cannot give is not asked for. */
import { FormFieldGroup, FormFieldGroupHeader, FormGroup, Radio, TextInput } from "@patternfly/react-core";
import { useMay, useObjects } from "@/api/live";
import { Choose } from "@/ui/Choose";
import { Hint } from "@/ui/FormDialog";
import { count } from "@/ui/format";
import { useGroupsWhere } from "@/ui/groups";
import { called, SETS } from "@/ui/permissions";
import { PasswordField } from "../PasswordField";
import { PoolFields } from "../PoolFields";
import { QuotaFields } from "../QuotaFields";
import type { useTeamForm, Who } from "./useTeamForm";

type State = ReturnType<typeof useTeamForm>;

export function TeamFields({ state }: { state: State }) {
  const { form, set, wrong, most, pools, pool, top, share } = state;
  const may = useMay();
  const parents = useGroupsWhere("group.create");
  return (
    <>
      <FormGroup label="Name of the team" fieldId="team-name" isRequired>
        <TextInput
          id="team-name"
          value={form.name}
          isRequired
          autoFocus
          autoComplete="off"
          validated={wrong.name ? "error" : "default"}
          aria-describedby="team-name-hint"
          onChange={(_event, name) => set({ name })}
        />
        <Hint id="team-name-hint" wrong={wrong.name}>
          A team is a group; it does not see what other teams have.
        </Hint>
      </FormGroup>
      {parents.length > 1 && (
        <FormGroup label="Under" fieldId="team-parent">
          <Choose
            id="team-parent"
            value={String(form.parent)}
            choices={parents.map((one) => ({
              value: String(one.gid),
              label: one.path,
            }))}
            onChange={(gid) => set({ parent: Number(gid) })}
          />
        </FormGroup>
      )}
      {may("user.assign", form.parent) && <Member state={state} />}
      <FormFieldGroup
        header={
          <FormFieldGroupHeader
            titleText={{ id: "team-quota", text: "Quota" }}
            titleDescription="What all its VMs may use together, running or not."
          />
        }
      >
        <div className="v-three">
          <QuotaFields typed={form.quota} wrong={wrong.quota} most={most} onChange={(quota) => set({ quota })} />
        </div>
      </FormFieldGroup>
      {may("pool.assign", form.parent) && (
        <FormFieldGroup
          header={
            <FormFieldGroupHeader
              titleText={{ id: "team-pool", text: "Media" }}
              titleDescription="Where its disks and images are stored. Without a pool it can have none."
            />
          }
        >
          <FormGroup label="Pool" fieldId="team-mpid">
            <Choose
              id="team-mpid"
              value={String(pool?.mpid ?? "")}
              choices={[
                { value: "", label: "None: its VMs can have no disk" },
                ...pools.map((one) => ({ value: String(one.mpid), label: one.name })),
              ]}
              onChange={(chosen) => set({ pool: chosen })}
            />
          </FormGroup>
          {pool && (
            <PoolFields share={share} above={top} wrong={wrong.pool} onChange={(next) => set({ share: next })} />
          )}
        </FormFieldGroup>
      )}
    </>
  );
}

function Member({ state: { form, set, wrong, who, permissions, missing } }: { state: State }) {
  const may = useMay();
  const groups = useObjects("group");
  const users = useObjects("user");
  const ways: [Who, string][] = [
    ["nobody", "Nobody yet"],
    ...(groups.some((one) => may("user.create", one.gid)) ? ([["new", "A new user"]] as [Who, string][]) : []),
    ...(users.length > 0 ? ([["known", "An existing user"]] as [Who, string][]) : []),
  ];
  const chosen = SETS.find((one) => one.name === form.set);
  return (
    <FormFieldGroup
      header={
        <FormFieldGroupHeader
          titleText={{ id: "team-member", text: "First member" }}
          titleDescription="Add more on the page of the group."
        />
      }
    >
      <FormGroup role="radiogroup" label="Who" fieldId="team-who" isInline>
        {ways.map(([value, label]) => (
          <Radio
            key={value}
            id={`team-who-${value}`}
            name="team-who"
            label={label}
            isChecked={who === value}
            onChange={() => set({ who: value })}
          />
        ))}
      </FormGroup>
      {who === "new" && (
        <>
          <FormGroup label="User name" fieldId="team-user" isRequired>
            <TextInput
              id="team-user"
              value={form.user}
              autoComplete="off"
              validated={wrong.user ? "error" : "default"}
              aria-describedby="team-user-hint"
              onChange={(_event, user) => set({ user })}
            />
            <Hint id="team-user-hint" wrong={wrong.user} />
          </FormGroup>
          <PasswordField value={form.password} refused={wrong.password} onChange={(password) => set({ password })} />
        </>
      )}
      {who === "known" && (
        <FormGroup label="User" fieldId="team-uid" isRequired>
          <Choose
            id="team-uid"
            value={form.uid}
            choices={[
              { value: "", label: "Choose a user", disabled: true },
              ...[...users]
                .sort((a, b) => a.name.localeCompare(b.name))
                .map((one) => ({ value: String(one.uid), label: one.name })),
            ]}
            onChange={(uid) => set({ uid })}
          />
          <Hint wrong={wrong.uid} />
        </FormGroup>
      )}
      {who !== "nobody" && (
        <FormGroup label="Permissions" fieldId="team-set">
          <Choose
            id="team-set"
            value={form.set}
            choices={SETS.map((one) => ({ value: one.name, label: one.name }))}
            onChange={(name) => set({ set: name })}
          />
          <Hint
            wrong={
              permissions.length === 0
                ? "You have none of these permissions there, so you cannot give them."
                : undefined
            }
          >
            {chosen && `A set of ${count(permissions.length, "permission")}: ${chosen.about}.`}
            {missing.length > 0 && ` Without ${missing.map(called).join(", ")}, which you do not have yourself.`}
          </Hint>
        </FormGroup>
      )}
    </FormFieldGroup>
  );
}
