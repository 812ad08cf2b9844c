/** A VM's screens, small: each leads to its console. */
import { Card, CardBody, CardTitle } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import { useShot } from "./useShot";

/** Pixels that are asked for: of one screen, and of each of several. */
const WIDTH = { one: 1024, several: 480 };

export function Screens({ vm }: { vm: Vm }) {
  return (
    <Card>
      <CardTitle component="h2">{vm.displays.length === 1 ? "Screen" : "Screens"}</CardTitle>
      <CardBody className="v-shots">
        {vm.displays.map(({ name }) => (
          <Shot key={name} vm={vm} display={name} />
        ))}
      </CardBody>
    </Card>
  );
}

function Shot({ vm, display }: { vm: Vm; display: string }) {
  const width = vm.displays.length === 1 ? WIDTH.one : WIDTH.several;
  const { url, failed } = useShot(vm, display, width);
  return (
    <Link to={`/vms/${vm.vmid}/console?display=${encodeURIComponent(display)}`} className="v-shot">
      {url ? (
        <img src={url} alt={`Screen ${display} of ${vm.name}: open its console`} />
      ) : (
        <span className="v-shot-none">{failed ?? "Taking a picture…"}</span>
      )}
      {vm.displays.length > 1 && <span>{display}</span>}
    </Link>
  );
}
