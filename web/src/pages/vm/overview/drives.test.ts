import { expect, it } from "vitest";
import { attachedWhen, ejected, inserted } from "./drives";

const HAS = {
  media: [
    { mid: "disk", mode: "BLOCK" as const, readonly: false },
    { mid: "iso", mode: "USB" as const, readonly: true },
  ],
  drives: [{ mode: "VIRTIO" as const }, { mode: "USB" as const }],
};

it("when a guest gets a disk depends on what it runs with", () => {
  const web = { ...HAS, name: "web" };
  expect(attachedWhen({ ...web, state: "STOPPED", hardware: "2" }, "BLOCK")).toBe(
    "Attached to web, which finds it when it is started.",
  );
  expect(attachedWhen({ ...web, state: "RUNNING", hardware: "2" }, "BLOCK")).toBe(
    "Attached to web at once, while it runs.",
  );
  expect(attachedWhen({ ...web, state: "RUNNING", hardware: "1" }, "VIRTIO")).toBe(
    "Attached to web at once, while it runs.",
  );
  expect(attachedWhen({ ...web, state: "PAUSED", hardware: "1" }, "BLOCK")).toBe("Attached to web at its next start.");
});

it("a disc is changed in its place", () => {
  expect(inserted(HAS, { mode: "USB", disc: "iso" }, "other")).toEqual({
    media: [HAS.media[0], { mid: "other", mode: "USB", readonly: true }],
  });
});

it("an empty drive is filled, and is empty no more", () => {
  expect(inserted(HAS, { mode: "USB" }, "other")).toEqual({
    media: [...HAS.media, { mid: "other", mode: "USB", readonly: true }],
    drives: [{ mode: "VIRTIO" }],
  });
});

it("an ejected disc leaves its drive", () => {
  expect(ejected(HAS, { mode: "USB", disc: "iso" })).toEqual({
    media: [HAS.media[0]],
    drives: [...HAS.drives, { mode: "USB" }],
  });
});
