import { expect, test } from "vitest";
import { diskBytes, memoryMib } from "./amounts";

const GIB = 2 ** 30;

test("a bare number is GiB for disks, and MiB for memory", () => {
  const disks: [string, number | undefined][] = [
    ["20", 20 * GIB],
    [" 1.5 ", 1.5 * GIB],
    ["1,5", 1.5 * GIB],
    ["20 GiB", 20 * GIB],
    ["20g", 20 * GIB],
    ["512M", GIB / 2],
    ["4096 B", 4096],
    ["1 TiB", 1024 * GIB],
    ["", undefined],
    ["much", undefined],
    ["-1", undefined],
  ];
  for (const [text, size] of disks) expect([text, diskBytes(text)]).toEqual([text, size]);
  const memory: [string, number | undefined][] = [
    ["512", 512],
    ["512 MiB", 512],
    ["2 GiB", 2048],
    ["1.5G", 1536],
    ["0", undefined],
    ["1 KiB", undefined],
    ["much", undefined],
  ];
  for (const [text, size] of memory) expect([text, memoryMib(text)]).toEqual([text, size]);
});
