/** ISOs and disks: what they hold, where they are used, and ways to get more of them. */
import {
  Button,
  EmptyState,
  EmptyStateActions,
  EmptyStateBody,
  EmptyStateFooter,
  Skeleton,
} from "@patternfly/react-core";
import { useCallback, useEffect, useMemo, useState } from "react";
import { createPortal } from "react-dom";
import { useSearchParams } from "react-router";
import { type Medium, useMay, useObjects, usePools, useReady } from "@/api/live";
import { Icon } from "@/look/Icon";
import { ROOT, useGroupPath, useGroupsWhere } from "@/ui/groups";
import { PageHead } from "@/ui/PageHead";
import { Section } from "@/ui/Section";
import { DataTable } from "@/ui/table/DataTable";
import { CreateDisk } from "./CreateDisk";
import { columnsOf } from "./columns";
import { DeleteMedia } from "./DeleteMedia";
import { useDrop } from "./drop";
import { FetchUrl } from "./FetchUrl";
import { MediaFilters, useFiltered } from "./filters";
import { MediumActions, whyHeld } from "./MediumActions";
import { MediumDialog, type Wish as MediumWish } from "./MediumDialogs";
import { Shared } from "./Shared";
import { UnderWay } from "./UnderWay";
import { UploadDialog } from "./UploadDialog";
import { Uploading } from "./Uploading";

type Wish =
  | { is: "upload"; files: File[] }
  | { is: "create" | "fetch" }
  | { is: "medium"; medium: Medium; wish: MediumWish }
  | { is: "delete"; media: Medium[]; after?: () => void };

export default function Media() {
  const media = useObjects("medium");
  const pools = usePools();
  const path = useGroupPath();
  const may = useMay();
  const mayMake = useGroupsWhere("media.create").length > 0;
  const mayAttach = useGroupsWhere("vm.alter").length > 0;
  const [asked, ask] = useSearchParams();
  const [wish, setWish] = useState<Wish>();
  const close = useCallback(() => setWish(undefined), []);
  const choose = () => setWish({ is: "upload", files: [] });
  const ready = useReady();
  const over = useDrop(mayMake && !wish ? (files) => setWish({ is: "upload", files }) : undefined);
  const { shown, filters, setFilters } = useFiltered(media);
  const columns = useMemo(() => {
    const names = new Map(pools.map((pool) => [pool.mpid, pool.name]));
    const onImport = mayMake ? (medium: Medium) => setWish({ is: "medium", medium, wish: "import" }) : undefined;
    return columnsOf(path, (mpid) => names.get(mpid) ?? `pool ${mpid}`, pools.length > 1, onImport);
  }, [path, pools, mayMake]);
  const wants = (["upload", "create", "fetch"] as const).find((one) => asked.has(one));
  useEffect(() => {
    if (!wants || !mayMake) return;
    setWish(wants === "upload" ? { is: "upload", files: [] } : { is: wants });
    ask({}, { replace: true });
  }, [wants, mayMake, ask]);
  const find = asked.get("find") ?? "";
  const upload = (
    <Button icon={<Icon name="upload" />} onClick={choose}>
      Upload
    </Button>
  );
  return (
    <>
      <PageHead
        title="Media"
        about={mayMake ? "ISOs and disks. Drop files anywhere on this page to upload them." : "ISOs and disks."}
        actions={
          mayMake && (
            <>
              <Button variant="secondary" icon={<Icon name="plus" />} onClick={() => setWish({ is: "create" })}>
                Create an empty disk
              </Button>
              <Button variant="secondary" icon={<Icon name="download" />} onClick={() => setWish({ is: "fetch" })}>
                Fetch from a URL…
              </Button>
              {upload}
            </>
          )
        }
      />
      <Section>
        <Uploading onImport={(medium) => setWish({ is: "medium", medium, wish: "import" })} />
        <UnderWay />
        {!may("media.list", ROOT) && <Shared />}
        <DataTable
          key={find}
          id="media"
          label="Media"
          noun="medium"
          nouns="media"
          rows={shown}
          columns={columns}
          rowKey={keyOf}
          rowName={nameOf}
          search={find}
          filters={media.length > 0 && <MediaFilters media={media} filters={filters} onChange={setFilters} />}
          bulk={(selected, clear) => (
            <Bulk
              selected={selected}
              may={may}
              onDelete={(all) => setWish({ is: "delete", media: all, after: clear })}
            />
          )}
          rowActions={(medium) => (
            <MediumActions
              medium={medium}
              mayMake={mayMake}
              mayAttach={mayAttach}
              onWish={(wish) => setWish({ is: "medium", medium, wish })}
            />
          )}
          empty={
            !ready ? (
              <Skeleton height="10rem" screenreaderText="Loading the media" />
            ) : media.length > 0 ? (
              <EmptyState titleText="No media match the filters" headingLevel="h2">
                <EmptyStateBody>
                  <Button variant="link" onClick={() => setFilters({})}>
                    Clear the filters
                  </Button>
                </EmptyStateBody>
              </EmptyState>
            ) : (
              <EmptyState titleText="No media yet" headingLevel="h2">
                <EmptyStateBody>
                  {mayMake
                    ? "Upload an installation image (an ISO for EFI), or a disk of another platform: qcow2, VMDK, VDI, VHDX, VHD or raw, also packed or in an archive."
                    : "Media of groups where you may list media appear here."}
                </EmptyStateBody>
                {mayMake && (
                  <EmptyStateFooter>
                    <EmptyStateActions>
                      <Button onClick={choose}>Upload an image</Button>
                    </EmptyStateActions>
                    <EmptyStateActions>
                      <Button variant="link" onClick={() => setWish({ is: "create" })}>
                        Create an empty disk
                      </Button>
                    </EmptyStateActions>
                  </EmptyStateFooter>
                )}
              </EmptyState>
            )
          }
        />
      </Section>
      {over &&
        createPortal(
          <div className="v-drop" role="status">
            Drop to upload
          </div>,
          document.body,
        )}
      {wish?.is === "upload" && <UploadDialog files={wish.files} onClose={close} />}
      {wish?.is === "create" && <CreateDisk onClose={close} />}
      {wish?.is === "fetch" && <FetchUrl onClose={close} />}
      {wish?.is === "medium" && <MediumDialog medium={wish.medium} wish={wish.wish} onClose={close} />}
      {wish?.is === "delete" && <DeleteMedia media={wish.media} after={wish.after} onClose={close} />}
    </>
  );
}

const keyOf = (medium: Medium) => medium.mid;
const nameOf = (medium: Medium) => medium.name;

function Bulk({
  selected,
  may,
  onDelete,
}: {
  selected: Medium[];
  may: (permission: string, gid: number) => boolean;
  onDelete: (media: Medium[]) => void;
}) {
  const can = selected.filter((one) => may("media.remove", one.gid) && !whyHeld(one));
  return (
    <div>
      <Button variant="secondary" isDanger isDisabled={can.length === 0} onClick={() => onDelete(can)}>
        {can.length === selected.length || can.length === 0 ? "Delete" : `Delete the ${can.length} that can be`}
      </Button>
    </div>
  );
}
