/** `console`: a shell in a PoP. On Fly through flyctl, which provides the WireGuard tunnel; in the local stack through the Docker engine. */
import { consoleIn } from "../../local/console.ts";
import { labels } from "../../local/docker/engine.ts";
import { type CliContext, CliError } from "../context.ts";
import { execInherit, findOnPath, shellQuote } from "../exec-inherit.ts";
import { popOf, readFleet } from "../fleet.ts";
import { isLocal, type Stack } from "../stack.ts";

export async function console(context: CliContext, stack: Stack, name: string, command: string[]): Promise<number> {
  const fleet = await readFleet(stack);
  const { machine } = popOf(fleet, name);
  if (machine.state !== "started")
    throw new CliError(
      `${name}: not running, machine ${machine.id} is ${machine.state}. Start it: npx fly-pops start ${name}. Its last logs: npx fly-pops logs ${name}`,
    );
  if (isLocal(context, stack.name)) {
    const terminal = { input: process.stdin, output: process.stdout, errors: process.stderr };
    const container = `${labels.machine}=${machine.id}`;
    const code = await consoleIn(container, command.length > 0 ? command : ["/bin/sh"], terminal);
    if (code !== undefined) return code;
    throw new CliError(`${name}: machine ${machine.id} has no container. Start it again: npm run local`);
  }
  const flyctl = findOnPath(context, "fly") ?? findOnPath(context, "flyctl");
  if (flyctl === undefined)
    throw new CliError(
      `${name}: a console on Fly needs flyctl, but neither fly nor flyctl is on PATH. Install it (https://fly.io/docs/flyctl/install/), or use instead: npx fly-pops exec ${name} -- COMMAND, npx fly-pops ssh ${name}`,
    );
  // One string, which a shell in the PoP splits again.
  const asked = command.length > 0 ? ["--command", command.map(shellQuote).join(" ")] : [];
  return execInherit(context, flyctl, ["ssh", "console", "--app", fleet.app, "--machine", machine.id, ...asked]);
}
