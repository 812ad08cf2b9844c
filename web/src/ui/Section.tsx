/** A part of a page, below its head. */
import type { HTMLAttributes, Ref } from "react";

export function Section({ className = "", ...props }: HTMLAttributes<HTMLElement> & { ref?: Ref<HTMLElement> }) {
  return <section {...props} className={`v-section ${className}`} />;
}
