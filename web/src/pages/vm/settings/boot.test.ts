import { expect, test } from "vitest";
import type { Attachment, Nic } from "@/api/schema";
import { bootOrder, hasList, ordered, placeWords } from "./boot";
import { moved } from "./draft";

const media: Attachment[] = ["a", "b"].map((mid) => ({ mid, mode: "VIRTIO", readonly: false }));
const nics: Nic[] = [{ type: "NAT" }, { type: "NAT" }];
const words = (devices: { media: Attachment[]; nics: Nic[] }) =>
  bootOrder(devices).map(({ of, index }) => (of === "media" ? devices.media[index]?.mid : `nic ${index}`));

test("without places it is the list of media", () => {
  expect(words({ media, nics })).toEqual(["a", "b"]);
});

test("the order is told in one place: by the list of media, or by a list of its own", () => {
  expect(hasList({ media, nics: [] })).toBe(true);
  expect(hasList({ media: media.slice(1), nics })).toBe(true);
  expect(hasList({ media: media.slice(1), nics: [] })).toBe(false);
});

test("a NIC comes in and goes to the front, and every device stays where it is in its list", () => {
  const order = [...bootOrder({ media, nics }), { of: "nics" as const, index: 1 }];
  const behind = ordered({ media, nics }, order);
  expect(words(behind)).toEqual(["a", "b", "nic 1"]);
  const front = ordered(behind, moved(moved(bootOrder(behind), 2, -1), 1, -1));
  expect(words(front)).toEqual(["nic 1", "a", "b"]);
  expect(front.media.map((one) => [one.mid, one.boot])).toEqual([
    ["a", 2],
    ["b", 3],
  ]);
  expect(front.nics).toEqual([{ type: "NAT" }, { type: "NAT", boot: 1 }]);
});

test("an order that the list says too has no places", () => {
  const turned = ordered({ media, nics }, bootOrder({ media, nics }).reverse());
  expect(turned.media.map((one) => one.boot)).toEqual([2, 1]);
  expect(ordered(turned, bootOrder(turned).reverse())).toEqual({ media, nics });
});

test("what has no place follows", () => {
  expect(words({ media: [media[0] as Attachment, { ...(media[1] as Attachment), boot: 7 }], nics })).toEqual([
    "b",
    "a",
  ]);
});

test("an empty disk does not boot first, whatever its place", () => {
  const told = (empty: string[], devices = { media, nics }) => {
    const words = placeWords(devices, (mid) => empty.includes(mid));
    return devices.media.map((_one, index) => words({ of: "media", index }));
  };
  expect(told([])).toEqual(["boots first", undefined]);
  expect(told(["a"])).toEqual(["empty: skipped until something is installed", "boots first"]);
  expect(told(["b"])).toEqual(["boots first", undefined]);
  expect(told(["a", "b"])).toEqual([undefined, undefined]);
  expect(told([], { media: media.slice(0, 1), nics })).toEqual([undefined]);
});
