import { expect, test } from "vitest";
import { shortPath } from "./PathText";

test("of a long path its last name is shown, of a short one all", () => {
  expect(shortPath("web/staging")).toBe("web/staging");
  expect(shortPath("production-of-the-customer/europe-west")).toBe("…/europe-west");
  expect(shortPath("a-name-that-is-long-and-all-that-there-is")).toBe("a-name-that-is-long-and-all-that-there-is");
  expect(shortPath("production-of-the-customer/on\\/off")).toBe("…/on\\/off");
});
