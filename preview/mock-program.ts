/**
 * `node mocked.ts DIR STACK PROJECT`: runs the program of a checkout against Pulumi's mocks, where nothing is reached and nothing is made, and prints one
 * JSON line: what it registers, or why it does not run. A process of its own, since a program runs once a process. Its configuration comes by
 * environment, as from the engine.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Pulumi from "@pulumi/pulumi";
import { mockOutputs } from "./mock-outputs.ts";
import type { ProgramResult } from "./mock-preview.ts";

const [dir = ".", stack = "", project = "fly-pops"] = process.argv.slice(2);
process.chdir(dir);

// The SDK of the checkout: mocks set in another copy would not be its mocks.
const pulumi: typeof Pulumi = createRequire(join(dir, "package.json"))("@pulumi/pulumi");

const print = (result: ProgramResult): void => void process.stdout.write(`${JSON.stringify(result)}\n`);

/** A value that cannot be registered is thrown from a promise of the SDK's that nobody awaits. */
function fail(error: unknown): never {
  const { message = String(error) } = error as Partial<Error>;
  // What the user did wrong is a RunError, whose text is meant for people as it is.
  const isUsers = pulumi.RunError.isInstance(error);
  print({ error: isUsers ? message : (message.split("\n")[0] ?? ""), isUserError: isUsers });
  process.exit(0);
}

process.once("uncaughtException", fail);
process.once("unhandledRejection", fail);

const registered: { urn: string; type: string; inputs: Record<string, unknown> }[] = [];
await pulumi.runtime.setMocks(
  {
    newResource({ type, name, inputs }) {
      registered.push({ urn: `${stack}::${type}::${name}`, type, inputs });
      // An app's id is its name, and says so in messages.
      const id = type.endsWith(":App") ? String(inputs.app) : `${name}-id`;
      return { id, state: { ...inputs, ...mockOutputs(type, inputs) } };
    },
    call: ({ inputs }) => inputs,
  },
  project,
  stack,
  false,
  "organization",
);
process.once("beforeExit", () => print({ registered }));
await import(pathToFileURL(join(dir, "index.ts")).href).catch(fail);
