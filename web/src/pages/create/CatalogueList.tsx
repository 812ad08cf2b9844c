/** Images that the server knows by name and fetches itself: one is chosen. */
import { Content, Label, LabelGroup, Radio } from "@patternfly/react-core";
import { useId } from "react";
import type { CatalogueImage } from "@/api/schema";

const TRUST: Record<CatalogueImage["trust"], string> = {
  pinned: "Pinned by its SHA-256",
  signed: "By what its distribution has signed",
  checksums: "By its distribution's checksums",
  tls: "Over TLS only",
};

export function CatalogueList({
  images,
  chosen,
  there,
  refuse,
  onChoose,
}: {
  images: readonly CatalogueImage[];
  chosen: string | undefined;
  /** Whether it has been fetched. */
  there: (image: CatalogueImage) => boolean;
  /** Why nothing can be fetched. */
  refuse: string | undefined;
  onChoose: (image: CatalogueImage) => void;
}) {
  const id = useId();
  return (
    <>
      <Content component="p" className="v-subtle">
        The server fetches it once; each VM gets a copy.
      </Content>
      <div role="radiogroup" aria-label="Image of the catalogue" className="v-images">
        {images.map((one) => (
          <Radio
            key={one.name}
            id={`${id}-${one.name}`}
            name={`${id}-catalogue`}
            isChecked={one.name === chosen}
            isDisabled={refuse !== undefined && !there(one)}
            onChange={() => onChoose(one)}
            label={<span className="v-wall-name">{one.title}</span>}
            description={
              <LabelGroup numLabels={5} isCompact aria-label={`About ${one.title}`}>
                <Label isCompact>{there(one) ? "Fetched" : `From ${one.server}`}</Label>
                <Label isCompact>{TRUST[one.trust]}</Label>
                {!one.tried && <Label isCompact>Not tried yet</Label>}
              </LabelGroup>
            }
          />
        ))}
      </div>
    </>
  );
}
