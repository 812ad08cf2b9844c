/** Parts of the page that are loaded when they are opened. */
import { type FC, type LazyExoticComponent, lazy } from "react";

/** A part did not come: the connection broke, or the server has a newer page, which has others. No bug. */
export class NotLoaded extends Error {}

export function part<P>(load: () => Promise<{ default: FC<P> }>): LazyExoticComponent<FC<P>> {
  return lazy(() =>
    load().catch((error: unknown) => {
      throw new NotLoaded(String(error));
    }),
  );
}
