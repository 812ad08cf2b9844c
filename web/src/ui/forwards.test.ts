import { expect, test } from "vitest";
import { forwardText, readForwards } from "./forwards";

test("what is written is what the command line takes, and is read as it is shown", () => {
  const text = "2222:22 127.0.0.1:8080:80, 5353:53/UDP";
  const read = readForwards(text);
  expect(read).toEqual([
    { host_port: 2222, guest_port: 22, protocol: "tcp" },
    { host_port: 8080, guest_port: 80, protocol: "tcp", host_address: "127.0.0.1" },
    { host_port: 5353, guest_port: 53, protocol: "udp" },
  ]);
  expect(read?.map(forwardText).join(" ")).toBe("2222:22 127.0.0.1:8080:80 5353:53/udp");
  expect(readForwards("  ")).toEqual([]);
});

test("what is no forward is not taken for one", () => {
  for (const wrong of ["22", "2222:22 x", "0:22", "2222:65536", "1.2.3.400:1:2", "2222:22/sctp", ":22", "a:1:2"])
    expect(readForwards(wrong)).toBeUndefined();
});
