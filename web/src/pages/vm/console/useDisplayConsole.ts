/** A display's RFB session in an element: kept connected, with what may be done to it. */
import type RFB from "@novnc/novnc";
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { call } from "@/api/call";
import { useSignal } from "@/api/signal";
import type { Send } from "./chords";
import { ConsoleLink, socketTo } from "./link";
import { type Seen, seenOn } from "./placeholder";
import { releaseWatch } from "./release";
import { SizeWatch } from "./size";

/** `follow`: the guest is asked for the window's size; one that cannot is shown as by `fit`. */
export type Scaling = "fit" | "follow" | "real";
/** Milliseconds between two looks at whether the guest draws. */
const LOOK = 2000;

export function useDisplayConsole(
  room: RefObject<HTMLDivElement | null>,
  { vmid, display, scaling, onRelease }: { vmid: number; display: string; scaling: Scaling; onRelease: () => void },
) {
  const rfb = useRef<RFB | undefined>(undefined);
  const chosen = useRef(scaling);
  const release = useRef(onRelease);
  release.current = onRelease;
  const [seen, setSeen] = useState<Seen>("drawn");
  const [keepsSize, setKeepsSize] = useState(false);
  const link = useMemo(() => {
    let Library: typeof RFB;
    return new ConsoleLink({
      ask: async () => {
        Library = (await import("@novnc/novnc")).default;
        return (await call("post", "/v/vm/console", { vmid, kind: "display", display })).path;
      },
      connect: (path) => socketTo(path, ["binary"]),
      attach: (socket, answered) => {
        const element = room.current as HTMLDivElement;
        const session = new Library(element, socket, { shared: true });
        session.background = "#000";
        scale(session, chosen.current);
        rfb.current = session;
        session.addEventListener("connect", answered);
        label(element, display);
        const size = new SizeWatch();
        const look = (picture: ImageData) => {
          setSeen(seenOn(picture));
          const { clientWidth: width, clientHeight: height } = element;
          setKeepsSize(chosen.current === "follow" && size.look(picture, { width, height }));
        };
        const ends = [watchKeys(element, () => release.current()), watchPicture(session, look)];
        return () => {
          for (const end of ends) end();
          rfb.current = undefined;
          session.disconnect();
        };
      },
    });
  }, [room, vmid, display]);
  useEffect(() => {
    void link.open();
    return () => link.close();
  }, [link]);
  useEffect(() => {
    chosen.current = scaling;
    if (rfb.current) scale(rfb.current, scaling);
  }, [scaling]);
  const send = useCallback<Send>((key, down) => rfb.current?.sendKey(key.keysym, key.code, down), []);
  const focus = useCallback(() => rfb.current?.focus({ preventScroll: true }), []);
  const picture = useCallback(
    () =>
      new Promise<Blob>((resolve, reject) => {
        const session = rfb.current;
        if (!session) reject(new Error("The console is not connected: wait until it is."));
        else
          session.toBlob(
            (blob) => (blob ? resolve(blob) : reject(new Error("The browser made no picture."))),
            "image/png",
          );
      }),
    [],
  );
  const state = useSignal(link.state);
  return { state, seen, keepsSize, send, focus, picture, again: () => void link.open() };
}

function scale(session: RFB, scaling: Scaling): void {
  session.resizeSession = scaling === "follow";
  session.scaleViewport = scaling !== "real";
}

/** noVNC's canvas takes the focus, but has no name, and Tab does not lead to it. */
function label(element: HTMLElement, display: string): void {
  const canvas = element.querySelector("canvas");
  if (!canvas) return;
  canvas.tabIndex = 0;
  canvas.setAttribute("role", "application");
  canvas.setAttribute(
    "aria-label",
    `Screen ${display}. It receives every key; press left Ctrl and Alt together to leave it.`,
  );
}

function watchKeys(element: HTMLElement, onRelease: () => void): () => void {
  const watch = releaseWatch();
  const hear = (event: KeyboardEvent) => {
    if (watch(event)) onRelease();
  };
  element.addEventListener("keydown", hear, true);
  element.addEventListener("keyup", hear, true);
  return () => {
    element.removeEventListener("keydown", hear, true);
    element.removeEventListener("keyup", hear, true);
  };
}

function watchPicture(session: RFB, see: (picture: ImageData) => void): () => void {
  let timer: ReturnType<typeof setInterval> | undefined;
  const look = () => {
    if (document.visibilityState === "visible") see(session.getImageData());
  };
  const begin = () => {
    timer = setInterval(look, LOOK);
  };
  session.addEventListener("connect", begin);
  return () => {
    clearInterval(timer);
    session.removeEventListener("connect", begin);
  };
}
