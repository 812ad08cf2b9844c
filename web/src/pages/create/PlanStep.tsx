/** The third step: the VM as it was chosen, what will be done and taken, as the server answers, and the same from the command line. */

import { Alert, Content, DescriptionList, ExpandableSection, List, ListItem, Title } from "@patternfly/react-core";
import { messageOf } from "@/api/http";
import { usePools } from "@/api/live";
import { Code } from "@/ui/Code";
import { Fact } from "@/ui/Fact";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { useHostChoices } from "@/ui/hostChoices";
import { PlanSummary } from "@/ui/PlanSummary";
import { SameAs } from "@/ui/SameAs";
import { Sentence } from "@/ui/Sentence";
import { useHostNics } from "@/ui/useHostNics";
import { type Draft, grownSize, makesDisk } from "./draft";
import { factsOf } from "./facts";
import { commandLines, createVm, type Image, makeDisk, shownVm } from "./requests";

export function PlanStep({
  draft,
  image,
  file,
  diskMade,
  diskError,
  vmError,
}: {
  draft: Draft;
  image: Image | undefined;
  /** The file that is uploaded here and now. */
  file: string | undefined;
  diskMade: string | undefined;
  diskError: unknown;
  vmError: unknown;
}) {
  const path = useGroupPath();
  const disk = diskMade ? undefined : makeDisk(draft, image);
  const vm = createVm(draft, image, diskMade);
  const shown = createVm(draft, image, diskMade ?? (makesDisk(draft) ? "MID-OF-THE-DISK" : undefined));
  const lines = commandLines(draft, image, path(draft.gid), file);
  const later = !image?.mid && image !== undefined;
  const grown = grownSize(draft);
  const waits = later && (draft.disk === "copy" || draft.disk === "import");
  return (
    <div className="v-plan">
      <Title headingLevel="h2">The virtual machine</Title>
      <Chosen draft={draft} image={image} />
      <Content component="h3">What will be done</Content>
      {later && (
        <List>
          <ListItem>
            {image.fetch ? `Fetch it from ${image.fetch.server}, as the medium ` : "Wait for the upload of "}
            <strong>{image.name}</strong>
          </ListItem>
          {waits && (
            <ListItem>
              Makes the disk <strong>{draft.diskName}</strong> of it; what that takes is known when the image is there
            </ListItem>
          )}
        </List>
      )}
      {disk && (diskError ? <Refused what="The disk" error={diskError} /> : <PlanSummary change={put(disk)} />)}
      {grown !== undefined && (
        <List>
          <ListItem>
            Grows <strong>{draft.diskName}</strong> to {bytes(grown)}
          </ListItem>
        </List>
      )}
      {vmError ? (
        <Refused what="The VM" error={vmError} />
      ) : (
        <PlanSummary change={put({ path: "/v/vm/efi", body: vm })} />
      )}
      {draft.start && (
        <List>
          <ListItem>
            Starts <strong>{draft.name}</strong> and shows its console
          </ListItem>
        </List>
      )}
      <ExpandableSection toggleText="The same from the command line" className="v-same">
        <Code label="Command lines" text={lines.join("\n")} />
      </ExpandableSection>
      <SameAs
        title="The same with the API"
        about={disk && "MID-OF-THE-DISK is in the first response."}
        request={[
          ...(disk ? [put(disk)] : []),
          ...(grown === undefined
            ? []
            : [
                {
                  method: "patch" as const,
                  path: "/m/media",
                  body: { mid: diskMade ?? "MID-OF-THE-DISK", size: grown },
                },
              ]),
          put({ path: "/v/vm/efi", body: shownVm(shown) }),
        ]}
      />
    </div>
  );
}

function Chosen({ draft, image }: { draft: Draft; image: Image | undefined }) {
  const path = useGroupPath();
  const pools = usePools();
  const hosts = useHostChoices(draft.host !== "");
  const nic = useHostNics().nics.find((one) => `bridge:${one.nicid}` === draft.nic);
  const facts = factsOf(draft, image, {
    group: path(draft.gid),
    pool: pools.length > 1 ? pools.find((one) => one.mpid === draft.mpid)?.name : undefined,
    host: hosts?.find((one) => one.value === draft.host)?.label,
    nic: nic && (nic.description || nic.identifier),
  });
  return (
    <DescriptionList isHorizontal isCompact aria-label="The virtual machine">
      {facts.map(([name, words]) => (
        <Fact key={name} name={name}>
          <bdi className="v-breaks">{words}</bdi>
        </Fact>
      ))}
    </DescriptionList>
  );
}

const put = (request: { path: string; body: object }) => ({ method: "put" as const, ...request });

function Refused({ what, error }: { what: string; error: unknown }) {
  return (
    <Alert isInline variant="danger" title={`${what} would be refused`}>
      <Sentence>{messageOf(error)}</Sentence>
    </Alert>
  );
}
