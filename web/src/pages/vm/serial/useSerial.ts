/** A serial console in an element: its bytes, kept connected, and the keyboard that its viewers share. */
import { type RefObject, useCallback, useEffect, useMemo, useRef, useState } from "react";
import { call } from "@/api/call";
import { useSignal } from "@/api/signal";
import { ConsoleLink, socketTo } from "../console/link";
import { releaseWatch } from "../console/release";
import { fontSize } from "./fontSize";
import { afterMessage, type Keyboard, type Move, NOBODY, SUBPROTOCOL } from "./keyboard";
import { type Console, openTerminal } from "./terminal";

const ENCODER = new TextEncoder();
/** Characters that are kept of what is typed while it connects. */
const MOST_EARLY = 4096;
/** What the terminal says of the focus and of the mouse: that alone is no wish to have the keyboard. */
const REPORTS = ["\x1b[I", "\x1b[O", "\x1b[M", "\x1b[<"];

export function useSerial(
  room: RefObject<HTMLDivElement | null>,
  vmid: number,
  { onRelease, onSearch }: { onRelease: () => void; onSearch: () => void },
) {
  const shown = useRef<Console | undefined>(undefined);
  const socket = useRef<WebSocket | undefined>(undefined);
  const present = useRef<Keyboard>(NOBODY);
  /** Whether the person has typed on this connection. What stands in the log before was asked of somebody else. */
  const typed = useRef(false);
  /** What was typed before it was connected. Of a connection that broke nothing is kept: there it is shown. */
  const early = useRef("");
  const [keyboard, setKeyboard] = useState(NOBODY);
  const release = useRef(onRelease);
  release.current = onRelease;
  const search = useRef(onSearch);
  search.current = onSearch;
  const hold = useCallback((now: Keyboard) => {
    present.current = now;
    setKeyboard(now);
  }, []);
  const link = useMemo(
    () =>
      new ConsoleLink({
        ask: async () => (await call("post", "/v/vm/console", { vmid, kind: "serial" })).path,
        connect: (path) => socketTo(path, [SUBPROTOCOL]),
        attach: (opened, answered) => {
          socket.current = opened;
          typed.current = false;
          opened.addEventListener("open", () => {
            shown.current?.terminal.reset();
            if (early.current) opened.send(ENCODER.encode(early.current));
            early.current = "";
          });
          opened.addEventListener("message", ({ data }: MessageEvent<ArrayBuffer | string>) => {
            answered();
            if (typeof data === "string") hold(afterMessage(present.current, data));
            else shown.current?.terminal.write(new Uint8Array(data));
          });
          return () => {
            socket.current = undefined;
            early.current = "";
            hold(NOBODY);
          };
        },
      }),
    [vmid, hold],
  );
  const write = useCallback(
    (text: string) => {
      if (socket.current?.readyState === WebSocket.OPEN) {
        socket.current.send(ENCODER.encode(text));
        if (present.current.yours || present.current.holder === undefined) link.expectAnswer();
      } else if (link.state.value.is === "connecting") early.current = (early.current + text).slice(0, MOST_EARLY);
    },
    [link],
  );
  useEffect(() => {
    const element = room.current as HTMLDivElement;
    const opened = openTerminal(element, () => typed.current && present.current.yours);
    shown.current = opened;
    opened.terminal.onKey(() => {
      typed.current = true;
    });
    opened.terminal.onData((text) => {
      if (present.current.yours || !REPORTS.some((report) => text.startsWith(report))) write(text);
    });
    opened.terminal.onBinary((text) => {
      socket.current?.send(Uint8Array.from(text, (character) => character.charCodeAt(0)));
    });
    const watch = releaseWatch();
    opened.terminal.attachCustomKeyEventHandler((event) => {
      if (watch(event)) release.current();
      if (!(event.ctrlKey && event.shiftKey && event.code === "KeyF")) return true;
      if (event.type === "keydown") search.current();
      event.preventDefault();
      return false;
    });
    void link.open();
    const ends = fontSize.watch(() => opened.size(fontSize.value));
    return () => {
      ends();
      link.close();
      opened.dispose();
      shown.current = undefined;
    };
  }, [room, link, write]);
  const move = useCallback(
    (what: Move) => {
      socket.current?.send(JSON.stringify({ keyboard: what }));
      if (what === "ask") hold({ ...present.current, asked: "waiting" });
    },
    [hold],
  );
  const tellSize = useCallback(() => {
    const terminal = shown.current?.terminal;
    if (!terminal) return;
    write(`stty rows ${terminal.rows} cols ${terminal.cols}\r`);
    terminal.focus();
  }, [write]);
  const clear = useCallback(() => shown.current?.terminal.clear(), []);
  const paste = useCallback((text: string) => {
    const terminal = shown.current?.terminal;
    typed.current = true;
    terminal?.paste(text);
    terminal?.focus();
  }, []);
  const terminal = useCallback(() => shown.current?.terminal, []);
  const state = useSignal(link.state);
  return { state, keyboard, move, tellSize, clear, paste, terminal, again: () => void link.open() };
}
