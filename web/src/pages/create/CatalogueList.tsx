/** Images that the server knows by name and fetches itself: one is chosen. */
import { Content, Radio } from "@patternfly/react-core";
import { useId } from "react";
import type { CatalogueImage } from "@/api/schema";
import { Tag } from "@/ui/labels";

const TRUST: Record<CatalogueImage["trust"], string> = {
  pinned: "SHA-256 pinned",
  signed: "Signature is checked",
  checksums: "Checksum is checked",
  tls: "No checksum: trusted by TLS only",
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
        The server downloads it once; each VM gets a copy. Log in with the SSH key that you give on the next page.
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
            label={<span className="v-breaks">{one.title}</span>}
            description={<Known image={one} there={there(one)} />}
          />
        ))}
      </div>
    </>
  );
}

function Known({ image, there }: { image: CatalogueImage; there: boolean }) {
  const words = [
    there ? "Fetched" : `From ${image.server}`,
    TRUST[image.trust],
    !image.tried && "Not tested by Velocity yet",
  ];
  return (
    <ul className="v-tags" aria-label={`About ${image.title}`}>
      {words.filter(Boolean).map((one) => (
        <li key={String(one)}>
          <Tag>{one}</Tag>
        </li>
      ))}
    </ul>
  );
}
