/** A picture of a display, taken anew while it is looked at: nothing tells of what a guest draws. An unchanged one costs a 304. */
import { useEffect, useState } from "react";
import { at } from "@/api/base";
import { messageOf, refusal } from "@/api/http";
import type { Vm } from "@/api/live";

const EVERY = 5000;

export function useShot(vm: Vm, display: string, width: number): { url?: string; failed?: string } {
  const [shot, setShot] = useState<{ url?: string; failed?: string }>({});
  const { vmid, state } = vm;
  const lost = vm.unreachable_since !== undefined;
  // biome-ignore lint/correctness/useExhaustiveDependencies: another state may be another picture at once
  useEffect(() => {
    if (lost) {
      setShot({ failed: "It does not respond: its screen cannot be read." });
      return;
    }
    const path = `/v/vm/screen?${new URLSearchParams({ vmid: String(vmid), display, width: String(width) })}`;
    const stop = new AbortController();
    let url: string | undefined;
    let timer: ReturnType<typeof setTimeout> | undefined;
    const take = async () => {
      try {
        const response = await fetch(at(path), { credentials: "same-origin", cache: "no-cache", signal: stop.signal });
        if (!response.ok) throw await refusal(response);
        const picture = await response.blob();
        if (stop.signal.aborted) return;
        if (url) URL.revokeObjectURL(url);
        url = URL.createObjectURL(picture);
        setShot({ url });
      } catch (error) {
        if (!stop.signal.aborted && !url) setShot({ failed: messageOf(error) });
      }
    };
    // One after the other: of a host that is slow, more would take all six connections that a browser has to a server.
    const look = async () => {
      if (document.visibilityState === "visible") await take();
      if (!stop.signal.aborted) timer = setTimeout(() => void look(), EVERY);
    };
    void look();
    return () => {
      stop.abort();
      clearTimeout(timer);
      if (url) URL.revokeObjectURL(url);
    };
  }, [vmid, state, lost, display, width]);
  return shot;
}
