import { expect, test } from "vitest";
import { CloneMedium, CreateGroup, CreateUser, CreateVm, Display, ImportMedium, UploadMedium } from "@/api/limits";
import { nameProblem, passwordProblem, typeProblem } from "./problems";

test("a name as the server takes it", () => {
  expect(nameProblem("debian 12.iso")).toBeUndefined();
  expect(nameProblem("Fachgruppe Größe ✓")).toBeUndefined();
  expect(nameProblem("  ")).toBe("Enter a name.");
  expect(nameProblem("ä".repeat(128))).toBeUndefined();
  expect(nameProblem("😀".repeat(128))).toBeUndefined();
  expect(nameProblem("😀".repeat(129))).toContain("129");
  for (const one of ["a\u0007", "a\tb", "a\u0085", "a\u2028", "a\ud800"])
    expect(nameProblem(one)).toContain("printable");
});

test("a name holds nothing that is never seen or turns text round", () => {
  for (const one of ["disk\u00ad1", "a\u200bb", "a\u202eb", "\u2800"]) expect(nameProblem(one)).toMatch(/invisible/);
});

test("a name that the server takes is not refused by the page: joined emojis, private letters", () => {
  for (const one of ["👩‍👩‍👧", "\ue000"]) expect(nameProblem(one)).toBeUndefined();
});

test("every named thing has the same rule, so that the page needs only one", () => {
  const named = [CloneMedium, CreateGroup, CreateUser, Display, ImportMedium, UploadMedium];
  for (const one of named) expect(one.name).toEqual(CreateVm.name);
});

test("a type as the server takes it", () => {
  expect(typeProblem("ISO")).toBeUndefined();
  expect(typeProblem("")).toBe("Enter a type.");
  expect(typeProblem("x".repeat(33))).toContain("32");
});

test("8 to 1,024 characters, counted as characters", () => {
  expect(passwordProblem("1234567")).toBeDefined();
  expect(passwordProblem("😀".repeat(8))).toBeUndefined();
  expect(passwordProblem("x".repeat(1024))).toBeUndefined();
  expect(passwordProblem("x".repeat(1025))).toBeDefined();
});
