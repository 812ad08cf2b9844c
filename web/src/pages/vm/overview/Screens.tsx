/** A VM's screens, small: each leads to its console. */
import { Card } from "@patternfly/react-core";
import { Link } from "react-router";
import type { Vm } from "@/api/live";
import { useShot } from "./useShot";

/** Pixels that are asked for: of one screen, and of each of several. */
const WIDTH = { one: 1024, several: 480 };

/** One fills its card; several stand beside each other. */
export function Screens({ vm }: { vm: Vm }) {
  const one = vm.displays.length === 1;
  return (
    <Card
      component="section"
      aria-label={one ? "Screen" : "Screens"}
      className={one ? "v-shots v-shots-one" : "v-shots"}
    >
      {vm.displays.map((display) => (
        <Shot key={display.name} vm={vm} display={display} />
      ))}
    </Card>
  );
}

function Shot({ vm, display: { name, width, height } }: { vm: Vm; display: Vm["displays"][number] }) {
  const several = vm.displays.length > 1;
  const { url, failed } = useShot(vm, name, several ? WIDTH.several : WIDTH.one);
  const shape = { aspectRatio: `${width} / ${height}` };
  return (
    <Link to={`/vms/${vm.vmid}/console?display=${encodeURIComponent(name)}`} className="v-shot">
      {url ? (
        <img src={url} alt={`Screen ${name} of ${vm.name}: open its console`} style={shape} />
      ) : (
        <span className="v-shot-none" style={shape}>
          {failed ?? "Taking a picture…"}
        </span>
      )}
      {several && <span>{name}</span>}
    </Link>
  );
}
