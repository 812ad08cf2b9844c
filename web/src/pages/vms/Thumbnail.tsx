/** The screen of a VM, small and live; what stands there instead while there is none. */
import { useEffect, useRef } from "react";
import { useMay, type Vm } from "@/api/live";
import { useSignal } from "@/api/signal";
import { Icon } from "@/look/Icon";
import { thumbnails } from "./thumbnails";

export const hasThumbnail = (vm: Vm): boolean =>
  vm.displays.length > 0 && (vm.state === "RUNNING" || vm.state === "PAUSED");

export function Thumbnail({ vm }: { vm: Vm }) {
  const may = useMay()("vm.interact", vm.gid);
  if (may && hasThumbnail(vm)) return <Picture vm={vm} />;
  const why = !may ? "Not visible to you" : vm.displays.length === 0 ? "No display" : undefined;
  return (
    <span className="v-screen v-screen-none">{why ?? (vm.state === "STOPPED" ? <Icon name="power" /> : "…")}</span>
  );
}

function Picture({ vm }: { vm: Vm }) {
  const place = useRef<HTMLSpanElement>(null);
  const { url, failed } = useSignal(thumbnails.of(vm.vmid));
  useEffect(() => {
    let end: (() => void) | undefined;
    const observer = new IntersectionObserver(([entry]) => {
      if (entry?.isIntersecting) end ??= thumbnails.watch(vm.vmid);
      else {
        end?.();
        end = undefined;
      }
    });
    if (place.current) observer.observe(place.current);
    return () => {
      observer.disconnect();
      end?.();
    };
  }, [vm.vmid]);
  return (
    <span ref={place} className="v-screen" title={failed}>
      {url ? <img src={url} alt={`Screen of ${vm.name}`} /> : <span className="v-screen-none">{failed ?? "…"}</span>}
    </span>
  );
}
