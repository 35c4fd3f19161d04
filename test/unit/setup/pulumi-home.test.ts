import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { pulumiHome, pulumiWorkspace } from "../../../setup/pulumi-home.mjs";

test.each([
  ["PULUMI_HOME where it is set", { PULUMI_HOME: "/pulumi", HOME: "/home/ada" }, "/pulumi"],
  ["~/.pulumi by HOME, whatever /etc/passwd says", { HOME: "/github/home" }, "/github/home/.pulumi"],
  ["an empty PULUMI_HOME as none", { PULUMI_HOME: "", HOME: "/home/ada" }, "/home/ada/.pulumi"],
  ["the user's home without either", {}, join(homedir(), ".pulumi")],
])("takes %s", (_, env, dir) => {
  expect(pulumiHome(env)).toBe(dir);
});

test("the CLI's own directory follows PULUMI_HOME, and else /etc/passwd whatever HOME says, as the CLI does", () => {
  expect(pulumiWorkspace({ PULUMI_HOME: "/pulumi", HOME: "/github/home" })).toBe("/pulumi");
  expect(pulumiWorkspace({ HOME: "/github/home" })).toBe(join(userInfo().homedir, ".pulumi"));
});
