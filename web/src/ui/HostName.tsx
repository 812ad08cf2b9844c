/** The name of a host, which leads to its page, where that is for the person. */
import { Link } from "react-router";
import type { HostRef } from "@/api/schema";
import { useHostPath } from "./useHostPath";

export function HostName({ host: { id, name } }: { host: HostRef }) {
  const path = useHostPath()(id);
  return path ? <Link to={path}>{name}</Link> : <bdi>{name}</bdi>;
}
