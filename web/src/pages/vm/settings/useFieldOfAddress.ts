/** An address that ends with the id of a field (#nic-0-type) begins there. */
import { useEffect } from "react";

export function useFieldOfAddress(): void {
  useEffect(() => {
    const field = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    if (!field) return;
    field.scrollIntoView({ block: "center" });
    field.focus({ preventScroll: true });
  }, []);
}
