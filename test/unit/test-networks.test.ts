import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "..", "..");
const sources = globSync("test/{image,e2e,soak}/**/*.ts", { cwd: root }).map((file) =>
  readFileSync(join(root, file), "utf8"),
);

/** Test files run side by side, and Docker makes no network on addresses of another one. */
test("each test file has a network of its own", () => {
  const subnets = sources.flatMap((text) => [...text.matchAll(/subnet6?: "([^"$]+)"/g)].map(([, subnet]) => subnet));
  expect(subnets.length).toBeGreaterThan(10);
  expect(subnets.filter((subnet, at) => subnets.indexOf(subnet) !== at)).toEqual([]);
});
