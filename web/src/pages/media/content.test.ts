import { expect, test } from "vitest";
import { installWords } from "./content";

test("an ISO without an ISO's file system is said not to boot where one installs from it", () => {
  const warning = "second.iso has the type ISO, but contains no ISO 9660 file system (unknown): it will not boot";
  expect(installWords({ type: "ISO", content: { format: "unknown", warning } })).toBe("Does not boot");
  expect(installWords({ type: "ISO", content: { format: "iso9660" } })).toBeUndefined();
  const bios = { format: "iso9660", boots_efi: false, warning: "it does not boot under EFI" };
  expect(installWords({ type: "ISO", content: bios })).toBe("Does not boot with EFI");
  expect(installWords({ type: "DISK", content: { format: "qcow2", warning: "import it" } })).toBeUndefined();
});
