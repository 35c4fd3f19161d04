/** `npm run local -- logs [pop]`: what a PoP says, or without one what local Fly itself says. */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream/promises";
import { containersOf, labels, openDocker } from "../docker/engine.ts";
import { paths } from "../paths.ts";
import { stackLabel } from "../services.ts";
import { status } from "./status.ts";

export async function logs(pop: string | undefined, follow: boolean): Promise<void> {
  if (pop === undefined) return pipeline(createReadStream(paths.daemonLog), process.stdout, { end: false });
  const { machines } = await status();
  const machine = machines.find(({ name }) => name === pop);
  if (!machine) throw new Error(`There is no PoP ${pop}: ${machines.map(({ name }) => name).join(", ")} run.`);
  const docker = openDocker();
  const [container] = await containersOf(docker, stackLabel, `${labels.machine}=${machine.id}`);
  if (!container) throw new Error(`${pop}: its machine ${machine.id} has no container; it is ${machine.state}.`);
  const stream = await docker.getContainer(container.Id).logs({
    stdout: true,
    stderr: true,
    follow: true,
    tail: follow ? 100 : 1000,
    ...(follow ? {} : { until: Math.floor(Date.now() / 1000) }),
  });
  docker.modem.demuxStream(stream, process.stdout, process.stderr);
  await new Promise<void>((resolve) => stream.once("end", resolve));
}
