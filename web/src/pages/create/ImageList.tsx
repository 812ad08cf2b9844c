/** The media that are there, with what is known of them: one is chosen. */
import { Content, Radio, SearchInput } from "@patternfly/react-core";
import { useId, useMemo, useState } from "react";
import type { Medium } from "@/api/live";
import { bytes } from "@/ui/format";
import { useGroupPath } from "@/ui/groups";
import { Tag } from "@/ui/labels";
import { installWords } from "../media/content";
import { warningOf } from "../media/warning";
import { roleOf } from "./draft";

const MOST = 60;
const KIND = { cdrom: "Installation image", disk: "Disk", packed: "Disk image to import", named: "", blank: "" };

export function ImageList({
  media,
  gid,
  chosen,
  onChoose,
}: {
  media: readonly Medium[];
  gid: number;
  chosen: string | undefined;
  onChoose: (medium: Medium) => void;
}) {
  const id = useId();
  const path = useGroupPath();
  const [words, setWords] = useState("");
  const found = useMemo(() => {
    const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
    return media.filter((one) => {
      const text = `${one.name} ${one.content?.label ?? ""} ${KIND[roleOf(one)]}`.toLowerCase();
      return wanted.every((word) => text.includes(word));
    });
  }, [media, words]);
  if (media.length === 0)
    return (
      <Content component="p" className="v-subtle">
        There are no images yet: upload one below, or start with an empty disk.
      </Content>
    );
  return (
    <>
      {media.length > 6 && (
        <SearchInput
          aria-label="Search images"
          placeholder="Search images"
          value={words}
          onChange={(_event, value) => setWords(value)}
          onClear={() => setWords("")}
        />
      )}
      <div role="radiogroup" aria-label="Image" className="v-images">
        {found.slice(0, MOST).map((one) => (
          <Radio
            key={one.mid}
            id={`${id}-${one.mid}`}
            name={`${id}-image`}
            isChecked={one.mid === chosen}
            onChange={() => onChoose(one)}
            label={<span className="v-breaks">{one.name}</span>}
            description={<Known medium={one} where={one.gid === gid ? undefined : path(one.gid)} />}
          />
        ))}
      </div>
      {found.length > MOST && (
        <Content component="small">{(found.length - MOST).toLocaleString()} more: search for the name.</Content>
      )}
      {found.length === 0 && <Content component="p">No image matches the search.</Content>}
    </>
  );
}

function Known({ medium, where }: { medium: Medium; where: string | undefined }) {
  const { content } = medium;
  const boots = installWords(medium);
  const words = [KIND[roleOf(medium)], bytes(medium.size), content?.label, where && `in ${where}`].filter(Boolean);
  return (
    <ul className="v-tags" aria-label={`About ${medium.name}`}>
      {words.map((one) => (
        <li key={one}>
          <Tag>{one}</Tag>
        </li>
      ))}
      {boots && (
        <li>
          <Tag tone={content?.boots_efi ? undefined : "warn"} title={warningOf(content)}>
            {boots}
          </Tag>
        </li>
      )}
    </ul>
  );
}
