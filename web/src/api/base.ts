/** Where the page and its API lie on their host: "/", or the path under which a reverse proxy shows them. */
const here = import.meta.url; // of a built file, in assets/ below that path
export const BASE = import.meta.env.DEV ? "/" : new URL("..", here).pathname;

/** A path of the API, or of the page, as the browser has to ask for it. */
export function at(path: string): string {
  return BASE + path.slice(1);
}

/** The same of one that comes from the server, which does not know of the proxy's; some proxies add theirs to it. */
export function reached(url: string): string {
  const { pathname } = new URL(url, location.href);
  return pathname.startsWith(BASE) ? pathname : at(pathname);
}
