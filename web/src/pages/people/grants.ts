/** Giving and taking permissions, one request each, with one toast that tells how far it is and what was refused. */
import { call } from "@/api/call";
import { ApiError, messageOf } from "@/api/http";
import type { Failure } from "@/ui/actions";
import { toast } from "@/ui/actions";
import { count } from "@/ui/format";
import { type Change, called, long, words } from "@/ui/permissions";
import type { Request } from "@/ui/SameAs";
import { groupWord, userWord } from "./commands";
import { readMembersAgain } from "./members";

export interface Whom {
  uid: number;
  name: string;
}

export interface Where {
  gid: number;
  path: string;
}

const send = (whom: Whom, where: Where, { verb, permission }: Change) =>
  call(verb === "grant" ? "put" : "delete", "/u/user/permission", {
    uid: whom.uid,
    gid: where.gid,
    permission: long(permission),
  });

/** Whether all of it was done. A refusal keeps none of the others back; a silent server ends it. */
export async function runChanges(whom: Whom, where: Where, all: readonly Change[]): Promise<boolean> {
  const tell = toast();
  const failures: Failure[] = [];
  const what = `permissions of ${whom.name} on ${where.path}`;
  let done = 0;
  for (const [index, change] of all.entries()) {
    tell({ variant: "info", title: `Changing the ${what}: ${index} of ${all.length}`, busy: true });
    try {
      await send(whom, where, change);
      done += 1;
    } catch (error) {
      const request = error instanceof ApiError ? error.request : undefined;
      failures.push({
        name: `${change.verb} ${called(change.permission)}`,
        message: messageOf(error),
        ...(request ? { request } : {}),
      });
      if (error instanceof ApiError && error.status === 0) {
        for (const left of all.slice(index + 1))
          failures.push({ name: `${left.verb} ${called(left.permission)}`, message: "not attempted" });
        break;
      }
    }
  }
  await readMembersAgain();
  if (failures.length === 0)
    tell({ variant: "success", title: `${whom.name}: ${said(all)} on ${where.path}`, busy: false });
  else
    tell({
      variant: "danger",
      title: `The ${what}: ${done} of ${count(all.length, "change")} done, ${failures.length} not`,
      failures,
      busy: false,
    });
  return failures.length === 0;
}

/** "granted 3 permissions, revoked 1" */
export function said(all: readonly Change[]): string {
  const given = all.filter((one) => one.verb === "grant").length;
  const taken = all.length - given;
  return [
    given && `granted ${count(given, "permission")}`,
    taken && `revoked ${given ? taken : count(taken, "permission")}`,
  ]
    .filter(Boolean)
    .join(", ");
}

/** The same as lines of the command line. */
export function linesOf(whom: Whom, where: Where, all: readonly Change[]): string[][] {
  return (["grant", "revoke"] as const).flatMap((verb) => {
    const names = all.filter((one) => one.verb === verb).map((one) => one.permission);
    const command = ["velocity", "user", verb, userWord(whom.name, whom.uid)];
    return names.length > 0 ? [[...command, ...words(names), "--group", groupWord(where.path, where.gid)]] : [];
  });
}

export const requestsOf = (whom: Whom, where: Where, all: readonly Change[]): Request[] =>
  all.map(({ verb, permission }) => ({
    method: verb === "grant" ? "put" : "delete",
    path: "/u/user/permission",
    body: { uid: whom.uid, gid: where.gid, permission: long(permission) },
  }));
