import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { daemonFiles } from "../../../local/daemon-code.ts";
import { projectImports } from "../../../tools/docs/architecture.ts";

const files = new Set(daemonFiles());

test("the daemon restarts after a change in any file that it imports", () => {
  const imports = Map.groupBy(projectImports(), ({ from }) => from);
  const reached = new Set<string>();
  const visit = (file: string): void => {
    if (reached.has(file)) return;
    reached.add(file);
    for (const { to } of imports.get(file) ?? []) visit(to);
  };
  visit("local/daemon.ts");
  expect(reached.size).toBeGreaterThan(30);
  expect([...reached].filter((file) => !files.has(file))).toEqual([]);
});

test.each(["anycast", "resolver"])("and in any file that the image of %s is built from", (name) => {
  const dockerfile = `local/${name}/Dockerfile`;
  const copied = [...readFileSync(dockerfile, "utf8").matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(
    ([, sources = ""]) => sources.split(" "),
  );
  expect(copied).toEqual(expect.arrayContaining(["image/build/", `local/${name}/go.mod`, `local/${name}/boot`]));
  const isIn = (source: string) => {
    const pattern = new RegExp(
      `^${source.replaceAll(".", "\\.").replace("*", "[^/]*")}${source.endsWith("/") ? ".+" : "$"}`,
    );
    return [...files].some((file) => pattern.test(file));
  };
  expect([dockerfile, ...copied].filter((source) => !isIn(source))).toEqual([]);
});
