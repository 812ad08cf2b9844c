import { expect, test } from "vitest";
import { groupOption, groupPath, vmCli } from "./vmCli";

test("a name that the command line would read as an id or an option is replaced by the id", () => {
  const line = (name: string, gid = 0, path = "/") => vmCli({ name, gid, vmid: 9, path }, "stop", "--force").join(" ");
  expect(line("web")).toBe("velocity vm stop web --force");
  expect(line("web", 3, "team/web")).toBe("velocity vm stop web --force --group team/web");
  expect([line("7", 3, "team"), line("id:7"), line("-x")]).toEqual(Array(3).fill("velocity vm stop id:9 --force"));
  expect([groupOption(0, "/"), groupOption(5, "2024"), groupOption(5, "a")]).toEqual([
    [],
    ["--group", "id:5"],
    ["--group", "a"],
  ]);
});

test("a slash in the name of a group is no step of its path", () => {
  expect(groupPath(["a", "b"])).toBe("a/b");
  expect(groupPath(["a/b"])).toBe("a\\/b");
  expect(groupPath(["a\\", "b"])).toBe("a\\\\/b");
  expect(groupPath(["DOMAIN\\team"])).toBe("DOMAIN\\team");
});
