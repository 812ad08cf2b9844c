/** Whose uploads are next: a browser has six connections to a server for all its tabs, and the tabs need some themselves. */

/** Uploads at once, of all tabs together. */
export const AT_ONCE = 2;
/** Milliseconds after which a tab that has not said again what it wants is taken to be gone. Hidden ones have a slow clock. */
export const FORGOTTEN = 180_000;

/** `may`: how many uploads the tab may have under way. */
export type Tell = (turn: { is: "turn"; may: number }) => void;

interface Wish {
  wanted: number;
  may: number;
  at: number;
}

/** Who was first keeps its turn while it wants it. */
export class Turns {
  private readonly wishes = new Map<Tell, Wish>();

  /** The tab has so many uploads under way or waiting for their turn. It says so again now and then. */
  want(tab: Tell, wanted: number): void {
    const before = this.wishes.get(tab)?.may ?? 0;
    if (wanted > 0) this.wishes.set(tab, { wanted, may: before, at: Date.now() });
    else this.wishes.delete(tab);
    this.look();
    tab({ is: "turn", may: this.wishes.get(tab)?.may ?? 0 });
  }

  leave(tab: Tell): void {
    if (this.wishes.delete(tab)) this.look();
  }

  /** Give what is free. */
  look(): void {
    let free = AT_ONCE;
    for (const [tab, wish] of this.wishes) {
      if (Date.now() - wish.at > FORGOTTEN) this.wishes.delete(tab);
      else {
        wish.may = Math.min(wish.may, wish.wanted);
        free -= wish.may;
      }
    }
    for (const [tab, wish] of this.wishes) {
      const more = Math.min(free, wish.wanted - wish.may);
      if (more <= 0) continue;
      wish.may += more;
      free -= more;
      tab({ is: "turn", may: wish.may });
    }
  }
}
