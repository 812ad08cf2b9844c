/** One request to the API: typed by its path, with the session's CSRF token, its refusal an `ApiError`. */
import { exchange, refusal } from "./http";
import type { Plan, paths } from "./schema";
import { session } from "./session";

export type Method = "post" | "put" | "delete" | "patch";
type Operation<P extends keyof paths, M extends Method> = NonNullable<paths[P][M]>;
export type Body<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { requestBody: { content: { "application/json": infer B } } }
    ? Omit<B, "plan">
    : Operation<P, M> extends { requestBody?: { content: { "application/json": infer B } } }
      ? Omit<B, "plan">
      : Record<string, never>;
type Answered<P extends keyof paths, M extends Method> =
  Operation<P, M> extends { responses: { 200: { content: { "application/json": infer A } } } } ? A : never;
/** What the operation answers with when it is carried out. */
export type Answer<P extends keyof paths, M extends Method> = Exclude<Answered<P, M>, Plan>;

/** Carry out an operation. Raises `ApiError`. An ended session asks for the password in place, then goes on. */
export async function call<P extends keyof paths, M extends Method>(
  method: M,
  path: P,
  body?: Body<P, M>,
): Promise<Answer<P, M>> {
  return (await send(method, path, body ?? {})) as Answer<P, M>;
}

/** What a change would do, change and take; nothing is done. Raises `ApiError` as the change would. */
export async function plan<P extends keyof paths, M extends Exclude<Method, "post">>(
  method: M,
  path: P,
  body: Body<P, M>,
): Promise<Plan> {
  return (await send(method, path, { ...body, plan: true })) as Plan;
}

export async function send(method: string, path: string, body: object): Promise<unknown> {
  let response = await exchange(method, path, body, session.headers());
  if (response.status === 401 && (await refusal(response.clone())).code === 100) {
    await session.ended();
    response = await exchange(method, path, body, session.headers());
  } else if (response.status === 403 && (await refusal(response.clone())).code === 101) {
    await session.look(); // another tab has renewed the session
    response = await exchange(method, path, body, session.headers());
  }
  if (!response.ok) throw await refusal(response);
  return response.json();
}
