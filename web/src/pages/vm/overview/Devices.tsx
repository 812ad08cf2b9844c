/** What is attached to a VM. */
import { Card, CardBody, CardTitle, DescriptionList, List, ListItem } from "@patternfly/react-core";
import { Link } from "react-router";
import type { VmInfo } from "@/api/schema";
import { useAttachable } from "@/ui/attachable";
import { bytes } from "@/ui/format";
import { mediumType } from "@/ui/labels";
import { MODES } from "../settings/modes";
import { nicsOf, nicText } from "../settings/nicText";
import { Fact } from "./Fact";

export function Devices({ info }: { info: VmInfo }) {
  const media = useAttachable(info.gid);
  return (
    <Card isFullHeight>
      <CardTitle component="h2">Devices</CardTitle>
      <CardBody>
        <DescriptionList isHorizontal isCompact>
          <Fact name="Media, in boot order">
            {info.media.length === 0 ? (
              "none"
            ) : (
              <List component="ol" isPlain>
                {info.media.map(({ mid, mode, readonly }, index) => {
                  const medium = media.find((one) => one.mid === mid);
                  return (
                    <ListItem key={mid}>
                      {index + 1}.{" "}
                      {medium ? <Link to={`/media?find=${encodeURIComponent(medium.name)}`}>{medium.name}</Link> : mid}
                      <span className="v-subtle">
                        {" "}
                        {[
                          medium && mediumType(medium.type),
                          medium && bytes(medium.size),
                          MODES[mode] ?? mode,
                          readonly && "read-only",
                        ]
                          .filter(Boolean)
                          .join(", ")}
                      </span>
                    </ListItem>
                  );
                })}
              </List>
            )}
          </Fact>
          <Fact name="Displays">
            {info.displays.length === 0
              ? "none"
              : info.displays.map((one) => `${one.name}: ${one.width}×${one.height}`).join(", ")}
          </Fact>
          <Fact name="NICs">
            {info.nics.length === 0
              ? "none"
              : nicsOf(info)
                  .map((nic) => nicText(nic, info.interfaces))
                  .join(", ")}
          </Fact>
        </DescriptionList>
      </CardBody>
    </Card>
  );
}
