/** What would be lost if the page were left or loaded anew: the browser asks before it is. */
const held = new Set<string>();
const stay = (event: BeforeUnloadEvent) => event.preventDefault();

/** `what`: whose it is, such as "uploads". */
export function setUnsaved(what: string, is: boolean): void {
  if (is) held.add(what);
  else held.delete(what);
  removeEventListener("beforeunload", stay);
  if (held.size > 0) addEventListener("beforeunload", stay);
}

export const hasUnsaved = (): boolean => held.size > 0;
