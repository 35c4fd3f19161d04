/** Looking into a running container: commands, processes. */
import type { Duplex } from "node:stream";
import type Docker from "dockerode";
import { type Clock, sleep } from "../../../../lib/clock.ts";
import { frames } from "../../../docker/output.ts";
import { type ExecResult, type Process, RunnerError } from "../../core/runner.ts";

/** Runs a command beside the machine's own processes, as the image's user. */
export async function execIn(
  container: Docker.Container,
  command: string[],
  { timeoutMs, stdin, clock }: { timeoutMs: number; stdin?: string | undefined; clock: Clock },
): Promise<ExecResult> {
  const exec = await container.exec({
    Cmd: command,
    AttachStdin: stdin !== undefined,
    AttachStdout: true,
    AttachStderr: true,
  });
  const stream: Duplex = await exec.start({ hijack: true, stdin: stdin !== undefined });
  stream.end(stdin);
  const over = new AbortController();
  const output = collect(stream);
  const timeout = sleep(clock, timeoutMs, over.signal).then(
    () => "timeout" as const,
    () => "ended" as const,
  );
  const first = await Promise.race([output, timeout]);
  over.abort();
  if (typeof first === "string") {
    output.catch(() => {}); // ends with the stream
    stream.destroy();
    throw new RunnerError(
      "engine",
      `exec: ${command[0]} did not end in ${timeoutMs} ms. It still runs: Docker has no call that ends an exec.`,
    );
  }
  const { ExitCode } = await exec.inspect();
  const exitCode = ExitCode ?? 0;
  return { exitCode, ...(exitCode > 128 ? { exitSignal: exitCode - 128 } : {}), ...first };
}

async function collect(stream: Duplex): Promise<{ stdout: string; stderr: string }> {
  const chunks = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
  for await (const { stream: name, bytes } of frames(stream)) chunks[name].push(bytes);
  return { stdout: Buffer.concat(chunks.stdout).toString(), stderr: Buffer.concat(chunks.stderr).toString() };
}

/** Columns of ps and what becomes of them. The command goes last: it alone has spaces. */
const columns = "pid,pcpu,rss,etimes,cputimes,args";

/**
 * Processes by the engine's `ps`, with the process ids of the engine's host. `rtime` is seconds since the start, `stime` seconds of CPU;
 * the working directory is not to be had.
 */
export async function processesIn(container: Docker.Container): Promise<Process[]> {
  const { Processes } = (await container.top({ ps_args: `-eo ${columns}` })) as { Processes: string[][] };
  return Processes.map(([pid, cpu, rss, elapsed, cpuTime, ...command]) => ({
    pid: Number(pid),
    cpu: Number(cpu),
    rss: Number(rss) * 1024,
    rtime: Number(elapsed),
    stime: Number(cpuTime),
    command: command.join(" "),
    directory: "",
  }));
}
