/** Whether the page is dark now, whoever chose it. */
import { useSyncExternalStore } from "react";
import { isDark } from "@/ui/theme";

function watch(tell: () => void): () => void {
  const watched = new MutationObserver(tell);
  watched.observe(document.documentElement, { attributeFilter: ["class"] });
  return () => watched.disconnect();
}

export const useDark = (): boolean => useSyncExternalStore(watch, isDark);
