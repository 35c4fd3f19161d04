/**
 * `node mock-program.ts DIR STACK PROJECT`: runs the program of a checkout against Pulumi's mocks, without network calls, and prints one JSON line: what it
 * registers, or why it fails. Needs its own process, because a program can run only once per process. Its configuration comes from the environment, as from
 * the engine.
 */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type * as Pulumi from "@pulumi/pulumi";
import { mockOutputs } from "./mock-outputs.ts";
import type { ProgramResult } from "./mock-preview.ts";

const [dir = ".", stack = "", project = "fly-pops"] = process.argv.slice(2);
process.chdir(dir);

// Load the checkout's SDK: mocks set in another copy would have no effect.
const pulumi: typeof Pulumi = createRequire(join(dir, "package.json"))("@pulumi/pulumi");

const print = (result: ProgramResult): void => void process.stdout.write(`${JSON.stringify(result)}\n`);

/** The SDK throws values that cannot be registered from a promise that is not awaited. */
function fail(error: unknown): never {
  const { message = String(error) } = error as Partial<Error>;
  // User errors are RunErrors, whose whole text is meant for users.
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
      // An app's id is its name, which appears in messages.
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
