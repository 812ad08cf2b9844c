/** A button that is a link within the page, which can be opened in another tab. */
import { Button, type ButtonProps } from "@patternfly/react-core";
import type { ComponentProps } from "react";
import { Link } from "react-router";

/** Always the same component, so that a button keeps the focus when it is rendered again. */
function Inner({ href, ...props }: ComponentProps<"a">) {
  return <Link {...props} to={href ?? "/"} />;
}

export function LinkButton({ to, ...props }: Omit<ButtonProps, "component" | "href"> & { to: string }) {
  return <Button {...props} component={Inner} href={to} />;
}
