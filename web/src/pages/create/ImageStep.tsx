/** The first question: what the VM boots from, and whose it is. */
import { Alert, Content, Form, FormGroup, FormSection, Radio, Title } from "@patternfly/react-core";
import type { Medium } from "@/api/live";
import type { CatalogueImage } from "@/api/schema";
import { Choose } from "@/ui/Choose";
import type { GroupChoice } from "@/ui/groups";
import { Sentence } from "@/ui/Sentence";
import { WhoGivesMore } from "@/ui/WhoGivesMore";
import { CatalogueList } from "./CatalogueList";
import type { Draft } from "./draft";
import { HostField } from "./HostField";
import { ImageList } from "./ImageList";
import { UploadHere } from "./UploadHere";

export function ImageStep({
  draft,
  chosen,
  groups,
  media,
  catalogue,
  fetched,
  locked,
  refuse,
  full,
  warning,
  onGroup,
  onHost,
  onMedium,
  onNamed,
  onBlank,
  onFile,
}: {
  draft: Draft;
  /** The medium that it is, also when it was uploaded here. */
  chosen: string | undefined;
  groups: readonly GroupChoice[];
  /** Those that the group and the chosen host can have. */
  media: readonly Medium[];
  /** What the server knows by name, and whether it is there. */
  catalogue: readonly CatalogueImage[];
  fetched: (image: CatalogueImage) => boolean;
  /** Why nothing can be chosen any more. */
  locked: string | undefined;
  /** Why nothing can be uploaded or fetched. */
  refuse: string | undefined;
  /** Why the group can have no other VM. */
  full: string | undefined;
  warning: string | undefined;
  onGroup: (gid: number) => void;
  onHost: (host: string) => void;
  onMedium: (medium: Medium) => void;
  onNamed: (image: CatalogueImage) => void;
  onBlank: () => void;
  onFile: (file: File) => void;
}) {
  const { source } = draft;
  return (
    <Form onSubmit={(event) => event.preventDefault()}>
      <Title headingLevel="h2">What does it boot from?</Title>
      {full && (
        <Alert component="p" isInline variant="danger" title={<Sentence>{full}</Sentence>}>
          <WhoGivesMore gid={draft.gid} />
        </Alert>
      )}
      {locked && <Alert isInline variant="info" title={locked} />}
      <fieldset disabled={locked !== undefined} className="v-fieldset">
        {groups.length > 1 && (
          <FormGroup label="Group" fieldId="create-group" className="v-create-field">
            <Choose
              id="create-group"
              value={String(draft.gid)}
              choices={groups.map((one) => ({ value: String(one.gid), label: one.path }))}
              onChange={(value) => onGroup(Number(value))}
            />
          </FormGroup>
        )}
        <HostField host={draft.host} onHost={onHost} />
        <FormSection title="An existing image" titleElement="h3">
          <ImageList media={media} gid={draft.gid} chosen={chosen} onChoose={onMedium} />
        </FormSection>
        <FormSection title="A new image" titleElement="h3">
          <UploadHere upload={source?.from === "upload" ? source.id : undefined} refuse={refuse} onFile={onFile} />
        </FormSection>
        {catalogue.length > 0 && (
          <FormSection title="A cloud image" titleElement="h3">
            <CatalogueList
              images={catalogue}
              chosen={source?.from === "catalogue" ? source.name : undefined}
              there={fetched}
              refuse={refuse}
              onChoose={onNamed}
            />
          </FormSection>
        )}
        <FormSection title="No image" titleElement="h3">
          <Radio
            id="create-blank"
            name="create-blank"
            label="An empty disk"
            description="The VM starts in its firmware. Attach an image later."
            isChecked={source?.from === "blank"}
            onChange={onBlank}
          />
        </FormSection>
      </fieldset>
      <button type="submit" hidden />
      <div role="status">
        {warning && (
          <Alert isInline variant="warning" title="Before you continue">
            <Content component="p">{warning}</Content>
          </Alert>
        )}
      </div>
    </Form>
  );
}
