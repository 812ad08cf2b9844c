import { expect, test } from "vitest";
import { found, lately } from "./found";

const MANY = Array.from({ length: 10_000 }, (_, vmid) => ({ vmid, name: `web-${vmid}` }));
let made = 0;
const among = (vms: readonly { vmid: number; name: string }[]) => ({
  before: [{ id: "/", title: "Dashboard" }],
  vms,
  ofVm: ({ vmid, name }: { vmid: number; name: string }) => {
    made += 1;
    return [
      { id: `vm-${vmid}`, title: name },
      { id: `stop-${vmid}`, title: `stop ${name}`, words: "halt" },
    ];
  },
  verbs: "start stop halt console",
  after: [{ id: "m", title: "web.iso" }],
});
const titles = (words: string, recent: string[] = [], vms: typeof MANY = MANY) =>
  found(among(lately(vms, recent)), words, recent, 4).map((one) => one.title);

test("of many VMs only those that fit are put together", () => {
  made = 0;
  expect(titles("stop 9999")).toEqual(["stop web-9999"]);
  expect(titles("halt 9999")).toEqual(["stop web-9999"]);
  expect(titles("web-9998")).toEqual(["web-9998", "stop web-9998"]);
  expect(titles("web")).toEqual(["web-0", "web-1", "web-2", "web-3"]);
  expect(titles("")).toEqual(["Dashboard", "web-0", "stop web-0", "web-1"]);
  expect(made).toBeLessThan(20);
});

test("a VM is found by its address", () => {
  const vms = [
    { vmid: 1, name: "web", addresses: ["10.9.16.2", "fd00::2"] },
    { vmid: 2, name: "db", addresses: ["10.9.16.3"] },
  ];
  const ofVm = ({ vmid, name, addresses }: (typeof vms)[number]) => [
    { id: `vm-${vmid}`, title: name, words: addresses.join(" ") },
    { id: `stop-${vmid}`, title: `stop ${name}` },
  ];
  const all = { before: [], vms, ofVm, verbs: "stop", after: [] };
  expect(found(all, "16.3", [], 4).map((one) => one.title)).toEqual(["db"]);
});

test("what was used lately comes first, wherever it is among the others", () => {
  expect(titles("", ["stop-7000"])[0]).toBe("stop web-7000");
  expect(titles("web", ["m", "vm-7000"])).toEqual(["web.iso", "web-7000", "web-0", "web-1"]);
});

test("what begins with the first word comes before what only holds it", () => {
  expect(titles("web-1", [], MANY.slice(0, 2))).toEqual(["web-1", "stop web-1"]);
  expect(titles("iso")).toEqual(["web.iso"]);
  expect(titles("nothing")).toEqual([]);
});
