import { expect, it } from "vitest";
import { cloudInitWords, keysOf, keysProblem } from "./cloudInit";

it("keys are read as files have them, and a private one is named as such", () => {
  const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 me@here";
  expect(keysOf(`# mine\n${key}\n\n  ${key} \n`)).toEqual([key, key]);
  expect(keysProblem([key])).toBeUndefined();
  expect(keysProblem(["-----BEGIN OPENSSH PRIVATE KEY-----", "AAAA"])).toContain("private key");
  expect(keysProblem(["AAAA"])).toContain(".pub");
});

it("what is set is told in words, and of secrets only that they are", () => {
  expect(cloudInitWords({ secrets: [] })).toBe("none");
  const set = { user: "ann", ssh_keys: ["a"], packages: ["git", "vim"], secrets: ["password_hash"] };
  expect(cloudInitWords(set)).toBe("user ann, 1 key, packages git, vim, password (not shown)");
  expect(cloudInitWords({ secrets: ["password_hash"], password_hash: "", user_data: "#!/bin/sh" })).toBe(
    "user-data (not shown)",
  );
});
