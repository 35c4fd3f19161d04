/** `console`: a shell in a PoP. On Fly by flyctl, which brings the WireGuard tunnel it takes; in the local stack by the Docker engine. */
import { consoleIn } from "../../local/console.ts";
import { labels } from "../../local/docker-engine.ts";
import { popOf, readFleet } from "../fleet.ts";
import { handOver, onPath, quoted } from "../hand-over.ts";
import { isLocal, type Stack } from "../stack.ts";
import { Refusal, type World } from "../world.ts";

export async function console(world: World, stack: Stack, name: string, command: string[]): Promise<number> {
  const fleet = await readFleet(stack);
  const { machine } = popOf(fleet, name);
  if (machine.state !== "started")
    throw new Refusal(
      `${name}: nothing runs in it, machine ${machine.id} is ${machine.state}. Start it: npx fly-pops start ${name}. What it said last: npx fly-pops logs ${name}`,
    );
  if (isLocal(world, stack.name)) {
    const terminal = { input: process.stdin, output: process.stdout, errors: process.stderr };
    const container = `${labels.machine}=${machine.id}`;
    const code = await consoleIn(container, command.length > 0 ? command : ["/bin/sh"], terminal);
    if (code !== undefined) return code;
    throw new Refusal(`${name}: machine ${machine.id} has no container. Bring it back: npm run local`);
  }
  const flyctl = onPath(world, "fly") ?? onPath(world, "flyctl");
  if (flyctl === undefined)
    throw new Refusal(
      `${name}: a console on Fly needs flyctl, and neither fly nor flyctl is on PATH. Install it (https://fly.io/docs/flyctl/install/), or do without: npx fly-pops exec ${name} -- COMMAND, npx fly-pops ssh ${name}`,
    );
  // One string, which a shell in the PoP takes apart again.
  const asked = command.length > 0 ? ["--command", command.map(quoted).join(" ")] : [];
  return handOver(world, flyctl, ["ssh", "console", "--app", fleet.app, "--machine", machine.id, ...asked]);
}
