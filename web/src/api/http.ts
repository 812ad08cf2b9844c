/** One exchange with the server over HTTP, and how its refusals and failures are told. */

import { at } from "./base";

/** The server refused, or no server answered (status 0). `message` has the cure, `request` is to be quoted. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: number,
    message: string,
    readonly field?: string,
    readonly request?: string,
  ) {
    super(message);
  }
}

/** Milliseconds for which a request waits before it is asked whether the server responds at all. */
export const LATE_MS = 5000;

let late = () => {};

/** What is done when a request has waited for `LATE_MS`. */
export function onLate(listener: () => void): void {
  late = listener;
}

/** Any answer of the server, refusals as well. Raises `ApiError` when none answers. `session` has the session's headers. */
export async function exchange(
  method: string,
  path: string,
  body: object,
  session: Record<string, string>,
): Promise<Response> {
  const timer = setTimeout(() => late(), LATE_MS);
  try {
    return await fetch(at(path), {
      method: method.toUpperCase(),
      headers: { "content-type": "application/json", ...session },
      credentials: "same-origin",
      body: JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, 0, "The server does not respond. What you see may be outdated; try again later.");
  } finally {
    clearTimeout(timer);
  }
}

export async function refusal(response: Response): Promise<ApiError> {
  const request = response.headers.get("x-request-id") ?? undefined;
  try {
    const told = (await response.json()) as { code?: number; message?: string; field?: string };
    return new ApiError(
      response.status,
      told.code ?? response.status,
      told.message ?? response.statusText,
      told.field,
      request,
    );
  } catch {
    return new ApiError(
      response.status,
      response.status,
      `The server responded with status ${response.status} and no message.`,
      undefined,
      request,
    );
  }
}

let words = (_code: number, message: string): string => message;

/** In what words refusals are told; until this is called, in the server's. */
export function tellRefusals(by: typeof words): void {
  words = by;
}

export function messageOf(error: unknown): string {
  if (error instanceof ApiError && error.status > 0) return words(error.code, error.message);
  return error instanceof Error ? error.message : String(error);
}
