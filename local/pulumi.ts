/** `npm run -s pulumi -- ARGS`: the CLI on the stack `local`, for everything that `npm run local` does not do by itself. */
import { mkdir } from "node:fs/promises";
import { PulumiStartError, startPulumi } from "../stack/pulumi-cli.ts";
import { paths, projectDir } from "./paths.ts";
import { localEnvironment } from "./stack/environment.ts";

await mkdir(paths.backend, { recursive: true });
const args = process.argv.slice(2);
const child = startPulumi(args, { dir: projectDir, env: await localEnvironment(args[0]) });
// Ctrl-C reaches the child by itself; the child must end first, because it has a state to save.
process.on("SIGINT", () => undefined);
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("error", (error) => {
  console.error(new PulumiStartError(error).message);
  process.exitCode = 1;
});
child.on("exit", (code, signal) => {
  process.exitCode = code ?? (signal === "SIGINT" ? 130 : 1);
});
