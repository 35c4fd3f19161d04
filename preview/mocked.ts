/**
 * `node mocked.ts DIR STACK`: runs the program of a checkout against Pulumi's mocks, where nothing is reached and nothing is made, and prints what it
 * registers as one JSON line. A process of its own, since a program runs once a process. Its configuration comes by environment, as from the engine.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Pulumi from "@pulumi/pulumi";
import type { Registered } from "./by-mocks.ts";

const [dir = ".", stack = "", project = "fly-pops"] = process.argv.slice(2);
process.chdir(dir);
// The SDK of the checkout: mocks set in another copy would not be its mocks.
const pulumi: typeof Pulumi = createRequire(join(dir, "package.json"))("@pulumi/pulumi");

const registered: Registered[] = [];
await pulumi.runtime.setMocks(
  {
    newResource({ type, name, inputs }) {
      registered.push({ urn: `${stack}::${type}::${name}`, type, inputs });
      // An app's id is its name, and says so in messages.
      const id = type.endsWith(":App") ? String(inputs.app) : `${name}-id`;
      return { id, state: { ...inputs, ...computed(type, inputs) } };
    },
    call: ({ inputs }) => inputs,
  },
  project,
  stack,
  false,
  "organization",
);
await import(pathToFileURL(join(dir, "index.ts")).href);
process.once("beforeExit", () => {
  process.stdout.write(`${JSON.stringify(registered)}\n`);
});

/** The image is pinned by what it is made from: the same files, the same digest. */
function computed(type: string, inputs: Record<string, unknown>): Record<string, unknown> {
  if (type !== "docker:index/image:Image") return {};
  const { context } = inputs.build as { context: string };
  return { repoDigest: `${String(inputs.imageName).split(":")[0]}@sha256:${digestOf(context)}` };
}

function digestOf(folder: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest("hex");
}
