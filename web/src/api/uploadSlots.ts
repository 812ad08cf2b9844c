/** Whose uploads are next: a browser has six connections to a server for all its tabs, and the tabs need some themselves. */

/** Uploads at once, of all tabs together. */
export const UPLOADS_AT_ONCE = 2;
/** Milliseconds after which a tab that has not said again what it wants is taken to be gone. Hidden ones have a slow clock. */
export const TAB_TIMEOUT_MS = 180_000;

/** `may`: how many uploads the tab may have under way. */
export type SlotListener = (message: { is: "upload slots"; may: number }) => void;

interface SlotRequest {
  wanted: number;
  may: number;
  at: number;
}

/** Who was first keeps its turn while it wants it. */
export class UploadSlots {
  private readonly requests = new Map<SlotListener, SlotRequest>();

  /** The tab has so many uploads under way or waiting for their turn. It says so again now and then. */
  request(tab: SlotListener, wanted: number): void {
    const before = this.requests.get(tab)?.may ?? 0;
    if (wanted > 0) this.requests.set(tab, { wanted, may: before, at: Date.now() });
    else this.requests.delete(tab);
    this.assign();
    tab({ is: "upload slots", may: this.requests.get(tab)?.may ?? 0 });
  }

  leave(tab: SlotListener): void {
    if (this.requests.delete(tab)) this.assign();
  }

  /** Give what is free. */
  assign(): void {
    let free = UPLOADS_AT_ONCE;
    for (const [tab, request] of this.requests) {
      if (Date.now() - request.at > TAB_TIMEOUT_MS) this.requests.delete(tab);
      else {
        request.may = Math.min(request.may, request.wanted);
        free -= request.may;
      }
    }
    for (const [tab, request] of this.requests) {
      const more = Math.min(free, request.wanted - request.may);
      if (more <= 0) continue;
      request.may += more;
      free -= more;
      tab({ is: "upload slots", may: request.may });
    }
  }
}
