/** The second question: how large it is, and what it is connected to; what the quotas leave stands below each field. */
import { Alert, Checkbox, ExpandableSection, Form, FormSection, Title } from "@patternfly/react-core";
import { useMay } from "@/api/live";
import { useAnswer } from "@/api/queries";
import { DISK_HELP, diskBytes, MEMORY_HELP, memoryMib } from "@/ui/amounts";
import { Choose } from "@/ui/Choose";
import { bytes, count, mib } from "@/ui/format";
import { FORWARDS_HELP } from "@/ui/forwards";
import { useGroupsWhere } from "@/ui/groups";
import { Sentence } from "@/ui/Sentence";
import { useHostNics } from "@/ui/useHostNics";
import { leftWords } from "@/ui/vmQuota";
import { WhoGivesMore } from "@/ui/WhoGivesMore";
import { DISK_FORMATS, type Format } from "../media/content";
import { scarceWords } from "../media/rules";
import type { Available } from "./available";
import {
  DISKS,
  DISPLAYS,
  type Disk,
  type Draft,
  grownSize,
  growsDisk,
  makesDisk,
  type Problems,
  type Role,
  sizeOf,
} from "./draft";
import { Field, TextField } from "./Field";
import { LoginFields } from "./LoginFields";

const DISK_WORDS: Record<Disk, string> = {
  new: "A new, empty disk",
  copy: "A copy of the image: the image is not changed",
  itself: "The image itself: the VM writes to it",
  import: "A disk made from the image",
  none: "No disk",
};

export function SettingsStep({
  draft,
  role,
  room,
  problems,
  diskMade,
  onChange,
}: {
  draft: Draft;
  role: Role;
  room: Available;
  problems: Problems;
  /** The disk is there already, from a run that failed later. */
  diskMade: boolean;
  onChange: (change: Partial<Draft>) => void;
}) {
  const may = useMay();
  const seesHost = useGroupsWhere("host.view").length > 0;
  const host = useAnswer("post", "/h/host", {}, { enabled: seesHost }).data;
  const { nics } = useHostNics();
  const pool = room.pools.find((one) => one.mpid === draft.mpid);
  const custom = !DISPLAYS.includes(draft.display);
  const slow = host !== undefined && Number(draft.cpus) > host.cpus;
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <Title headingLevel="h2">Name and hardware</Title>
      {problems.gid && <Alert isInline variant="danger" title={<Sentence>{problems.gid}</Sentence>} />}
      <TextField
        id="create-name"
        label="Name"
        value={draft.name}
        problem={problems.name}
        onChange={(name) => onChange({ name })}
      />
      <div className="v-create-row">
        <TextField
          id="create-cpus"
          label="CPUs"
          numeric
          value={draft.cpus}
          problem={problems.cpus}
          hint={remains(
            room.left.cpus,
            Number(draft.cpus),
            (amount) => count(amount, "CPU"),
            slow ? undefined : host?.cpus,
          )}
          warning={slow ? `More than the ${count(host.cpus, "CPU")} of the host: the guest becomes slower.` : undefined}
          onChange={(cpus) => onChange({ cpus })}
        />
        <TextField
          id="create-memory"
          label="Memory"
          unit="MiB"
          value={draft.memory}
          problem={problems.memory}
          hint={[remains(room.left.memory_mib, memoryMib(draft.memory), mib, host?.memory_mib), MEMORY_HELP]
            .filter(Boolean)
            .join(" ")}
          warning={
            host && (memoryMib(draft.memory) ?? 0) > host.memory_free_mib
              ? `Only ${mib(host.memory_free_mib)} are free on the host now: it could not start.`
              : undefined
          }
          onChange={(memory) => onChange({ memory })}
        />
      </div>
      {room.full !== undefined && <WhoGivesMore gid={draft.gid} />}
      {may("vm.state", draft.gid) && (
        <Checkbox
          id="create-start"
          label="Start it after it is created"
          isChecked={draft.start}
          onChange={(_event, start) => onChange({ start })}
        />
      )}
      <FormSection title="Disk" titleElement="h3">
        {diskMade && (
          <Alert isInline isPlain variant="info" title="The disk has already been created and will be used." />
        )}
        {role === "named" && <span className="v-subtle">{DISK_WORDS.copy}</span>}
        <div className="v-create-row">
          {DISKS[role].length > 1 && (
            <Field id="create-disk" label="Kind of disk">
              <Choose
                id="create-disk"
                value={draft.disk}
                disabled={diskMade}
                choices={DISKS[role].map((one) => ({ value: one, label: DISK_WORDS[one] }))}
                onChange={(disk) => onChange({ disk: disk as Disk })}
              />
            </Field>
          )}
          {draft.disk === "new" && (
            <TextField
              id="create-size"
              label="Size"
              unit="GiB"
              value={draft.diskSize}
              disabled={diskMade}
              problem={problems.diskSize}
              hint={[diskHint(pool, diskBytes(draft.diskSize)), DISK_HELP].filter(Boolean).join(" ")}
              warning={scarceWords(pool?.free, diskBytes(draft.diskSize))}
              onChange={(diskSize) => onChange({ diskSize })}
            />
          )}
          {growsDisk(draft) && (
            <TextField
              id="create-grown-size"
              label="Size"
              unit="GiB"
              value={draft.grownSize}
              placeholder="as large as the image"
              problem={problems.grownSize}
              hint={[diskHint(pool, grownSize(draft)), DISK_HELP].filter(Boolean).join(" ")}
              warning={scarceWords(pool?.free, grownSize(draft))}
              onChange={(grownSize) => onChange({ grownSize })}
            />
          )}
          {makesDisk(draft) && room.pools.length > 1 && (
            <Field id="create-pool" label="Pool">
              <Choose
                id="create-pool"
                value={String(draft.mpid ?? "")}
                disabled={diskMade}
                choices={room.pools.map((one) => ({ value: String(one.mpid), label: one.name }))}
                onChange={(mpid) => onChange({ mpid: Number(mpid) })}
              />
            </Field>
          )}
        </div>
      </FormSection>
      <FormSection title="Screen and network" titleElement="h3">
        <div className="v-create-row">
          <Field id="create-display" label="Display">
            <Choose
              id="create-display"
              value={custom ? "custom" : draft.display}
              choices={[
                ...DISPLAYS.map((one) => ({
                  value: one,
                  label: one === "none" ? "None: serial console only" : one.replace("x", "×"),
                })),
                { value: "custom", label: "Another size" },
              ]}
              onChange={(display) => onChange({ display: display === "custom" ? "1600x900" : display })}
            />
          </Field>
          {custom && (
            <TextField
              id="create-display-size"
              label="Width × height"
              value={draft.display}
              problem={problems.display}
              hint={sizeOf(draft.display) ? "pixels" : undefined}
              onChange={(display) => onChange({ display: display === "none" ? " none" : display })}
            />
          )}
          <Field id="create-nic" label="Network" problem={problems.nic}>
            <Choose
              id="create-nic"
              value={draft.nic}
              choices={[
                { value: "nat", label: "NAT: a private address and internet access" },
                ...nics.map((one) => ({
                  value: `bridge:${one.nicid}`,
                  label: `Bridge: ${one.description || one.identifier}`,
                })),
                { value: "none", label: "None" },
              ]}
              onChange={(nic) => onChange({ nic })}
            />
          </Field>
        </div>
        {draft.nic === "nat" && (
          <TextField
            id="create-forwards"
            label="Port forwards"
            value={draft.forwards}
            placeholder="none"
            problem={problems.forwards}
            hint={`Ports of the host that lead to the guest. ${FORWARDS_HELP}`}
            onChange={(forwards) => onChange({ forwards })}
          />
        )}
      </FormSection>
      {(role === "disk" || role === "packed" || role === "named") && (
        <LoginFields draft={draft} problems={problems} onChange={onChange} />
      )}
      <ExpandableSection toggleText="More">
        {makesDisk(draft) && (
          <div className="v-create-row">
            <TextField
              id="create-disk-name"
              label="Name of the disk"
              value={draft.diskName}
              disabled={diskMade}
              problem={problems.diskName}
              onChange={(diskName) => onChange({ diskName })}
            />
            {draft.disk !== "copy" && (
              <Field id="create-format" label="Format of the disk">
                <Choose
                  id="create-format"
                  value={draft.format}
                  disabled={diskMade}
                  choices={DISK_FORMATS}
                  onChange={(format) => onChange({ format: format as Format })}
                />
              </Field>
            )}
          </div>
        )}
        {role === "cdrom" && (
          <Field id="create-mode" label="The image is attached as">
            <Choose
              id="create-mode"
              value={draft.imageMode}
              choices={[
                { value: "VIRTIO", label: "VirtIO CD-ROM: Linux and BSD" },
                { value: "USB", label: "USB: for installers without VirtIO drivers" },
              ]}
              onChange={(mode) => onChange({ imageMode: mode as "VIRTIO" | "USB" })}
            />
          </Field>
        )}
        <Checkbox
          id="create-autostart"
          label="Start it when the server starts"
          isChecked={draft.autostart}
          onChange={(_event, autostart) => onChange({ autostart })}
        />
      </ExpandableSection>
      <button type="submit" hidden />
    </Form>
  );
}

/** "Quota: 6 CPUs left, 4 CPUs after this. The host has 8 CPUs." */
function remains(
  left: number | undefined,
  wanted: number | undefined,
  words: (amount: number) => string,
  host: number | undefined,
): string | undefined {
  return (
    [leftWords(left, wanted, words), host !== undefined && `The host has ${words(host)}.`].filter(Boolean).join(" ") ||
    undefined
  );
}

function diskHint(pool: Available["pools"][number] | undefined, size: number | undefined): string | undefined {
  if (!pool) return undefined;
  const free = pool.free === undefined ? undefined : `${bytes(pool.free)} free in the pool.`;
  return [leftWords(pool.left, size, bytes), free].filter(Boolean).join(" ");
}
