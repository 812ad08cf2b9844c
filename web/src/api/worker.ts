/** The worker that all tabs of a browser share: it has the one stream of events, and says whose uploads are next. */

import { Stream, server } from "./stream";
import { Turns } from "./turns";
import { type Asked, BEAT, type Word } from "./words";

interface Scope {
  onconnect: ((event: MessageEvent) => void) | null;
}

const stream = new Stream(server);
const turns = new Turns();
const tabs = new Set<(word: Word) => void>();

(globalThis as unknown as Scope).onconnect = ({ ports: [port] }) => {
  if (!port) return;
  const tab = (word: Word) => port.postMessage(word);
  port.onmessage = ({ data: asked }: MessageEvent<Asked>) => {
    tabs.add(tab);
    if (asked.is === "join") stream.join(tab, asked.uid);
    else if (asked.is === "uploads") turns.want(tab, asked.wanted);
    else {
      tabs.delete(tab);
      stream.leave(tab);
      turns.leave(tab);
    }
  };
  tab({ is: "beat" });
};

setInterval(() => {
  turns.look();
  for (const tab of tabs) tab({ is: "beat" });
}, BEAT);
