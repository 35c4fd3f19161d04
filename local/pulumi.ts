/** `npm run -s pulumi -- ARGS`: the CLI on the stack `local`, for everything that `npm run local` does not do by itself. */
import { spawn } from "node:child_process";
import { mkdir } from "node:fs/promises";
import { localEnvironment } from "./environment.ts";
import { paths, projectDir } from "./paths.ts";

await mkdir(paths.backend, { recursive: true });
const args = process.argv.slice(2);
const child = spawn("pulumi", args, {
  cwd: projectDir,
  env: await localEnvironment(args[0]),
  stdio: "inherit",
});
// Ctrl-C reaches the child by itself; the child must end first, because it has a state to save.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", (error) => {
  console.error(`The Pulumi CLI could not be started (${error.message}). Run: node setup/main.mjs`);
  process.exitCode = 1;
});
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
});
