/** A program of a container on this terminal, by the engine itself: the Machines API knows none that can be typed to. */
import type { Duplex } from "node:stream";
import { containersOf, openDocker } from "./docker/engine.ts";
import { stackLabel } from "./services.ts";

export interface Terminal {
  input: NodeJS.ReadStream;
  output: NodeJS.WriteStream;
  errors: NodeJS.WriteStream;
}

/** Ends with the exit code of the program. Undefined: the stack has no running container with this label. */
export async function consoleIn(
  label: string,
  command: string[],
  { input, output, errors }: Terminal,
): Promise<number | undefined> {
  const docker = openDocker();
  const [found] = await containersOf(docker, stackLabel, label);
  if (!found) return undefined;
  const tty = input.isTTY === true && output.isTTY === true;
  const exec = await docker.getContainer(found.Id).exec({
    Cmd: command,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    Tty: tty,
    ...(tty ? { Env: [`TERM=${process.env.TERM ?? "xterm"}`] } : {}),
  });
  const stream: Duplex = await exec.start({ hijack: true, stdin: true, Tty: tty });
  const resize = () => void exec.resize({ h: output.rows, w: output.columns }).catch(() => undefined);
  if (tty) {
    input.setRawMode(true);
    output.on("resize", resize);
    resize();
    stream.pipe(output, { end: false });
  } else docker.modem.demuxStream(stream, output, errors);
  input.pipe(stream);
  await new Promise((resolve) => stream.once("close", resolve));
  if (tty) {
    input.setRawMode(false);
    output.removeListener("resize", resize);
  }
  input.unpipe(stream).pause();
  const { ExitCode } = await exec.inspect();
  return ExitCode ?? 1;
}
