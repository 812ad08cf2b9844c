/** Who is signed in here. The authkey lives in a cookie that no script can read; the page holds the CSRF token in memory. */
import { BASE } from "./base";
import { ApiError, exchange, refusal } from "./http";
import type { BrowserSession } from "./schema";
import { Signal } from "./signal";
import { readStored, writeStored } from "./stored";

/** `looking` until the server was asked; `again`: it ended while the page was open, and asks in place. */
export type SessionState =
  | { is: "looking" }
  | { is: "out"; reason?: string }
  | { is: "in"; session: BrowserSession }
  | { is: "again"; session: BrowserSession };

/** Seconds without a key or click after which a session is left to expire. */
const IDLE = 15 * 60;
/** Where tabs tell each other that the cookie is another one: to look is all there is to do, so that versions may differ. */
const TABS = "velocity session";
/** Under which it is kept whether somebody is signed in here: the cookie itself is hidden from scripts. */
const KNOWN = "session";

class SessionStore {
  readonly state = new Signal<SessionState>({ is: "looking" });
  private waiting: Array<() => void> = [];
  private lastTouch = Date.now();
  private renewal: ReturnType<typeof setTimeout> | undefined;
  private readonly tabs = typeof BroadcastChannel === "undefined" ? undefined : new BroadcastChannel(TABS);

  constructor() {
    this.tabs?.addEventListener("message", () => {
      if (this.state.value.is !== "looking") this.look().catch(() => undefined); // the stream brings it as well
    });
    for (const kind of ["pointerdown", "keydown"]) {
      addEventListener(kind, () => {
        this.lastTouch = Date.now();
      });
    }
  }

  get present(): BrowserSession | undefined {
    const state = this.state.value;
    return state.is === "in" || state.is === "again" ? state.session : undefined;
  }

  headers(): Record<string, string> {
    const csrf = this.present?.csrf;
    return csrf ? { "x-velocity-csrf": csrf } : {};
  }

  /** When the page comes: who was never signed in here is not asked for, as browsers log each refusal as an error. */
  async begin(): Promise<void> {
    if (readStored<boolean | undefined>(KNOWN, undefined) === undefined) writeStored(KNOWN, false);
    if (readStored(KNOWN, true))
      await this.look(); // a browser that keeps nothing cannot know
    else this.leave();
  }

  /** Ask the server whose session the cookie is. */
  async look(): Promise<void> {
    const response = await exchange("post", "/u/session", {}, this.headers());
    if (response.ok) this.enter((await response.json()) as BrowserSession);
    else if (response.status === 401) this.leave();
    else throw await refusal(response);
  }

  /** Raises `ApiError`. */
  async signIn(how: { name: string; password: string } | { link: string }): Promise<void> {
    const response = await exchange("put", "/u/session", how, this.headers());
    if (!response.ok) throw await refusal(response);
    this.tabs?.postMessage("signed in");
    this.enter((await response.json()) as BrowserSession);
  }

  async signOut(): Promise<void> {
    await exchange("delete", "/u/session", {}, this.headers());
    this.tabs?.postMessage("signed out");
    writeStored(KNOWN, false);
    location.assign(BASE);
  }

  /** The server knows the session no more: wait until the person has signed in again in place. */
  async ended(): Promise<void> {
    const state = this.state.value;
    if (state.is === "in") this.state.set({ is: "again", session: state.session });
    else if (state.is !== "again") {
      this.leave();
      throw new ApiError(401, 100, "Sign in first.");
    }
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }

  private enter(session: BrowserSession): void {
    if (this.present && this.present.uid !== session.uid) {
      this.state.set({ is: "looking" }); // another person: nothing of the former one may stay on the screen
      location.assign(BASE);
      return;
    }
    this.state.set({ is: "in", session });
    writeStored(KNOWN, true);
    for (const resolve of this.waiting.splice(0)) resolve();
    clearTimeout(this.renewal);
    if (session.expires === undefined) return;
    const left = session.expires * 1000 - Date.now();
    this.renewal = setTimeout(() => void this.renew(), Math.min(Math.max(left / 2, 1000), 2 ** 31 - 1));
  }

  private leave(): void {
    writeStored(KNOWN, false);
    if (this.state.value.is === "in") this.state.set({ is: "again", session: this.present as BrowserSession });
    else if (this.state.value.is !== "again") this.state.set({ is: "out" });
  }

  private async renew(): Promise<void> {
    const session = this.present;
    if (session?.expires === undefined) return;
    if (Date.now() - this.lastTouch > IDLE * 1000) {
      const left = session.expires * 1000 - Date.now();
      this.renewal = setTimeout(() => void (left > 0 ? this.renew() : this.look()), Math.max(1000, left / 2));
      return;
    }
    try {
      const response = await exchange("patch", "/u/session", {}, this.headers());
      if (response.ok) this.enter((await response.json()) as BrowserSession);
      else await this.look();
    } catch {
      this.renewal = setTimeout(() => void this.renew(), 5000);
    }
  }
}

export const session = new SessionStore();
