/** A VM's settings for cloud-init while they are edited: secrets are present only if they were typed. */
import { CloudInit as Limits } from "@/api/limits";
import type { CloudInit, CloudInitInfo } from "@/api/schema";

type Secret = "password_hash" | "user_data" | "network_config" | "meta_data";
/** Typed text replaces the setting; empty text removes it. */
export type CloudInitDraft = CloudInitInfo & Partial<Record<Secret, string>>;

export const SECRET_WORDS: Record<Secret, string> = {
  password_hash: "password",
  user_data: "user-data",
  network_config: "network-config",
  meta_data: "meta-data",
};
export const SECRETS = Object.keys(SECRET_WORDS) as readonly Secret[];
export const HIDDEN = "(not shown)";

/** One key per line, as in authorized_keys. */
export const keysOf = (text: string): string[] =>
  text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"));

/** Equality as on the server: absent equals empty. */
export function canonicalCloudInit(one: CloudInitDraft): string {
  const { user, ssh_keys, hostname, packages, timezone, secrets } = one;
  const typed = SECRETS.map((name) => one[name] ?? null);
  return JSON.stringify([user || "", ssh_keys ?? [], hostname || "", packages ?? [], timezone || "", secrets, typed]);
}

/** The change from the server's settings to the draft's. */
export function cloudInitBody({ secrets: _, ...rest }: CloudInitDraft): CloudInit {
  return { user: "", ssh_keys: [], hostname: "", packages: [], timezone: "", ...rest };
}

/** For display and copying. */
export function masked(body: CloudInit): CloudInit {
  const typed = SECRETS.filter((name) => body[name]).map((name) => [name, HIDDEN]);
  return { ...body, ...Object.fromEntries(typed) };
}

const fits = (pattern: string, text: string): boolean => new RegExp(pattern).test(text);

export function userProblem(user: string): string | undefined {
  if (fits(Limits.user.pattern, user)) return undefined;
  return "Lowercase letters, digits, - and _, at most 32; no digit first.";
}

export function keysProblem(keys: readonly string[]): string | undefined {
  if (keys.some((key) => key.startsWith("-----BEGIN")))
    return "This is a private key: take the file that ends in .pub.";
  if (keys.every((key) => /^(ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]+ [A-Za-z0-9+/]{16,}={0,3}( .*)?$/.test(key)))
    return undefined;
  return "One public key on each line, as files that end in .pub have it.";
}

export function hashProblem(hash: string): string | undefined {
  if (fits(Limits.password_hash.pattern, hash)) return undefined;
  return "The hash of a password, not the password: openssl passwd -6 makes one.";
}

/** Errors, by the server's names of fields. */
export function cloudInitProblems(one: CloudInitDraft): Record<string, string> {
  const found: Record<string, string> = {};
  const note = (field: string, problem: string | undefined) => {
    if (problem) found[`cloud_init.${field}`] = problem;
  };
  note("user", userProblem(one.user ?? ""));
  note("ssh_keys", keysProblem(one.ssh_keys ?? []));
  note("password_hash", hashProblem(one.password_hash ?? ""));
  if (!fits(Limits.hostname.pattern, one.hostname ?? "")) note("hostname", "A name such as web or web.example.org.");
  if (!fits(Limits.timezone.pattern, one.timezone ?? "")) note("timezone", "A time zone such as Europe/Berlin.");
  for (const name of ["user_data", "network_config", "meta_data"] as const)
    if (new TextEncoder().encode(one[name] ?? "").length > Limits.user_data.maxLength) note(name, "At most 64 KiB.");
  return found;
}

/** In words: "user ann, 1 key, password (not shown)". */
export function cloudInitWords(one: CloudInitDraft): string {
  const count = one.ssh_keys?.length ?? 0;
  const set = SECRETS.filter((name) => (one[name] === undefined ? one.secrets.includes(name) : one[name] !== ""));
  const words = [
    one.user && `user ${one.user}`,
    count > 0 && `${count} ${count === 1 ? "key" : "keys"}`,
    one.hostname && `host name ${one.hostname}`,
    (one.packages?.length ?? 0) > 0 && `packages ${one.packages?.join(", ")}`,
    one.timezone && `time zone ${one.timezone}`,
    ...set.map((name) => `${SECRET_WORDS[name]} ${HIDDEN}`),
  ].filter(Boolean);
  return words.join(", ") || "none";
}
