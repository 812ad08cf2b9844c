/** A VM's screens, small: each leads to its console. */
import { Card, CardBody, CardTitle, Gallery, GalleryItem } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import { useShot } from "./useShot";

const WIDTH = 320;

export function Screens({ vm }: { vm: Vm }) {
  return (
    <Card>
      <CardTitle component="h2">{vm.displays.length === 1 ? "Screen" : "Screens"}</CardTitle>
      <CardBody>
        <Gallery hasGutter minWidths={{ default: "14rem" }} maxWidths={{ default: "20rem" }}>
          {vm.displays.map(({ name }) => (
            <GalleryItem key={name}>
              <Shot vm={vm} display={name} />
            </GalleryItem>
          ))}
        </Gallery>
      </CardBody>
    </Card>
  );
}

function Shot({ vm, display }: { vm: Vm; display: string }) {
  const { url, failed } = useShot(vm, display, WIDTH);
  return (
    <Link to={`/vms/${vm.vmid}/console?display=${encodeURIComponent(display)}`} className="v-shot">
      {url ? (
        <img src={url} alt={`Screen ${display} of ${vm.name}: open its console`} />
      ) : (
        <span className="v-shot-none">{failed ?? "Taking a picture…"}</span>
      )}
      <span>{display}</span>
    </Link>
  );
}
