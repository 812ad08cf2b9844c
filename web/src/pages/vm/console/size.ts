/** Whether a guest that is asked for the window's size has kept its own: it is said for a while after each change. */

export interface Size {
  width: number;
  height: number;
}

/** Pixels by which guests may round. */
const ROUNDED = 16;
/** Looks that a guest has to follow, and those for which it is said that it did not. */
const PATIENCE = 2;
const SHOWN = 5;

export class SizeWatch {
  private last = "";
  private looks = 0;

  /** One look; answers with whether it is to be said now. */
  look(picture: Size, room: Size): boolean {
    const now = `${picture.width} ${picture.height} ${room.width} ${room.height}`;
    this.looks = now === this.last ? this.looks + 1 : 0;
    this.last = now;
    return !isNear(picture, room) && this.looks >= PATIENCE && this.looks < PATIENCE + SHOWN;
  }
}

const isNear = (one: Size, other: Size) =>
  Math.abs(one.width - other.width) < ROUNDED && Math.abs(one.height - other.height) < ROUNDED;
