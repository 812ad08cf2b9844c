/** What has the focus may be taken away, by what was pressed or by news from the server: the focus stays near. */
import { useEffect } from "react";

/** The id of what holds the page's own content. */
export const MAIN = "main";

/** A button may be switched off by what it has opened: then what is around it is nearest. */
const takesFocus = (one: EventTarget): one is HTMLElement =>
  one instanceof HTMLElement && one.isConnected && !one.matches(":disabled");

/** A browser gives it back to the document, where a person with a keyboard begins anew. WCAG 2.4.3 */
export function useFocusStaysNear(id: string): void {
  useEffect(() => {
    let last: EventTarget | null = null;
    /** What had it last on the page itself, and what is around that: a dialog goes as a whole. */
    let around: EventTarget[] = [];
    let timer: ReturnType<typeof setTimeout> | undefined;
    const hear = (event: FocusEvent) => {
      last = event.target;
      const path = event.composedPath();
      const main = path.findIndex((one) => one instanceof Element && one.id === id);
      if (main >= 0) around = path.slice(0, main + 1);
    };
    const lost = () => document.activeElement === document.body && last instanceof Node && !last.isConnected;
    const settle = () => {
      const near = around.find(takesFocus);
      if (!lost() || !near) return;
      near.focus();
      if (document.activeElement === near) return;
      near.tabIndex = -1;
      near.addEventListener("blur", () => near.removeAttribute("tabindex"), { once: true });
      near.focus({ preventScroll: true });
    };
    const observer = new MutationObserver(() => {
      if (!lost()) return;
      clearTimeout(timer);
      timer = setTimeout(settle); // a dialog and a menu give it back themselves, a moment later
    });
    addEventListener("focusin", hear);
    observer.observe(document.body, { childList: true, subtree: true });
    return () => {
      removeEventListener("focusin", hear);
      observer.disconnect();
      clearTimeout(timer);
    };
  }, [id]);
}
