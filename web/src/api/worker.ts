/** The worker that all tabs of a browser share: it has the one stream of events, and says whose uploads are next. */

import { HEARTBEAT_MS, type TabMessage, type WorkerMessage } from "./messages";
import { Stream, server } from "./stream";
import { UploadSlots } from "./uploadSlots";

interface Scope {
  onconnect: ((event: MessageEvent) => void) | null;
}

const stream = new Stream(server);
const slots = new UploadSlots();
const tabs = new Set<(message: WorkerMessage) => void>();

(globalThis as unknown as Scope).onconnect = ({ ports: [port] }) => {
  if (!port) return;
  const tab = (message: WorkerMessage) => port.postMessage(message);
  port.onmessage = ({ data: message }: MessageEvent<TabMessage>) => {
    tabs.add(tab);
    if (message.is === "join") stream.join(tab, message.uid);
    else if (message.is === "uploads") slots.request(tab, message.wanted);
    else if (message.is === "check") void stream.check();
    else {
      tabs.delete(tab);
      stream.leave(tab);
      slots.leave(tab);
    }
  };
  tab({ is: "heartbeat" });
};

setInterval(() => {
  slots.assign();
  for (const tab of tabs) tab({ is: "heartbeat" });
}, HEARTBEAT_MS);
