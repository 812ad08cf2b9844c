/** The name of a host, which leads to its page for whom the navigation leads to the hosts. */
import { Link } from "react-router";
import { useMay } from "@/api/live";
import type { HostRef } from "@/api/schema";

export function HostName({ host: { id, name } }: { host: HostRef }) {
  return useMay()("node.manage", 0) ? <Link to={`/hosts/${id}`}>{name}</Link> : <bdi>{name}</bdi>;
}
