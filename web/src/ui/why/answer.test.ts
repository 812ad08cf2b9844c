import { expect, test } from "vitest";
import type { Names } from "../texts/words";
import { told } from "./answer";

const none = () => undefined;
const NAMES: Names = { vm: none, medium: none, group: none, user: none, pool: none };

test("a refusal is short sentences, with the groups' names and not their ids", () => {
  const message =
    "ann may not do this: velocity.vm.state is needed on the VM's group (/ (0)); they have it on red (1), which is not above it. Anyone who has it on / (0) together with velocity.user.assign can give it";
  const permission = "“Start, stop, pause and resume virtual machines”";
  expect(told(message, NAMES, "ann", false)).toBe(
    `ann may not do this: ${permission} is needed on the VM's group (the root group). They have it on red, which is not above it`,
  );
  expect(told(message, NAMES, "ann", true)).toMatch(/^You may not do this: .*\. You have it on red, /);
});
