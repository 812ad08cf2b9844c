/** A button that is a link within the page: it opens in another tab as well. */
import { Button, type ButtonProps } from "@patternfly/react-core";
import type { ComponentProps } from "react";
import { Link } from "react-router";

/** One and the same component always, so that a button keeps the focus when it is painted anew. */
function Inner({ href, ...props }: ComponentProps<"a">) {
  return <Link {...props} to={href ?? "/"} />;
}

export function LinkButton({ to, ...props }: Omit<ButtonProps, "component" | "href"> & { to: string }) {
  return <Button {...props} component={Inner} href={to} />;
}
