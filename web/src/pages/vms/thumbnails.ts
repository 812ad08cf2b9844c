/** Small pictures of screens: asked for again while they are in sight, a few at a time, and only loaded when they changed. */
import { at } from "@/api/base";
import { messageOf, refusal } from "@/api/http";
import { Signal } from "@/api/signal";

export interface Thumbnail {
  /** An object URL; absent: none yet. */
  url?: string;
  etag?: string;
  /** Why there is none. */
  failed?: string;
}

export const WIDTH = 320;
const EVERY = 4000;
/** A browser has six connections to a server; the rest of the page needs some. */
const AT_ONCE = 2;
/** Pictures that are kept when they are out of sight. */
const KEPT = 200;

interface Watched {
  vmid: number;
  shown: Signal<Thumbnail>;
  watchers: number;
  due: number;
  asking: boolean;
}

class Thumbnails {
  private readonly all = new Map<number, Watched>();
  private timer: ReturnType<typeof setTimeout> | undefined;
  private asking = 0;

  constructor() {
    document.addEventListener("visibilitychange", () => this.next());
  }

  of(vmid: number): Signal<Thumbnail> {
    return this.entry(vmid).shown;
  }

  /** Keep it fresh until the answer is called. */
  watch(vmid: number): () => void {
    const one = this.entry(vmid);
    one.watchers += 1;
    this.next();
    return () => {
      one.watchers -= 1;
      this.prune();
    };
  }

  private entry(vmid: number): Watched {
    const found = this.all.get(vmid);
    if (found) return found;
    const made: Watched = { vmid, shown: new Signal<Thumbnail>({}), watchers: 0, due: 0, asking: false };
    this.all.set(vmid, made);
    return made;
  }

  /** The one that has waited longest comes first. */
  private next(): void {
    clearTimeout(this.timer);
    if (document.visibilityState !== "visible") return;
    const waiting = [...this.all.values()].filter((one) => one.watchers > 0 && !one.asking);
    waiting.sort((a, b) => a.due - b.due);
    for (const one of waiting) {
      if (this.asking >= AT_ONCE) return; // the one that ends goes on
      const wait = one.due - performance.now();
      if (wait > 0) {
        this.timer = setTimeout(() => this.next(), wait);
        return;
      }
      void this.ask(one);
    }
  }

  private async ask(one: Watched): Promise<void> {
    one.asking = true;
    this.asking += 1;
    const { url, etag } = one.shown.value;
    try {
      const response = await fetch(at(`/v/vm/screen?vmid=${one.vmid}&width=${WIDTH}`), {
        headers: etag ? { "if-none-match": etag } : {},
        credentials: "same-origin",
        cache: "no-store", // the picture is kept here already
      });
      if (response.status === 200) {
        const fresh = URL.createObjectURL(await response.blob());
        one.shown.set({ url: fresh, etag: response.headers.get("etag") ?? undefined });
        if (url) setTimeout(() => URL.revokeObjectURL(url), 1000); // the old one may still be painted
      } else if (response.status !== 304) one.shown.set({ url, etag, failed: await refusal(response).then(messageOf) });
    } catch {
      one.shown.set({ url, etag, failed: "The server does not respond" });
    }
    one.asking = false;
    one.due = performance.now() + EVERY;
    this.asking -= 1;
    this.next();
  }

  private prune(): void {
    for (const [vmid, one] of this.all) {
      if (this.all.size <= KEPT) return;
      if (one.watchers > 0 || one.asking) continue;
      if (one.shown.value.url) URL.revokeObjectURL(one.shown.value.url);
      this.all.delete(vmid);
    }
  }
}

export const thumbnails = new Thumbnails();
