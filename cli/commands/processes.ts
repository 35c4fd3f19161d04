/** `processes`: the processes of a PoP, as listed by process-compose. */
import { z } from "zod";
import { table } from "../../lib/table.ts";
import { type CliContext, CliError, type ExitCode, print, printJson } from "../context.ts";
import { popOf, readFleet, runIn } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

/** The output of `process-compose process list -o json`: `age` in nanoseconds, `mem` in bytes. */
const States = z.array(
  z.looseObject({
    name: z.string(),
    status: z.string(),
    is_ready: z.string().default("-"),
    has_ready_probe: z.boolean().default(false),
    is_running: z.boolean().default(false),
    restarts: z.number().default(0),
    exit_code: z.number().default(0),
    pid: z.number().default(0),
    age: z.number().default(0),
    mem: z.number().default(0),
  }),
);

export interface ProcessRow {
  name: string;
  status: string;
  /** null: no readiness probe. */
  ready: boolean | null;
  restarts: number;
  exitCode: number;
  pid: number;
  /** Seconds since its start. */
  upSeconds: number;
  /** Resident. */
  memoryBytes: number;
}

export async function processes(
  context: CliContext,
  stack: Stack,
  name: string,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  const fleet = await readFleet(stack);
  const { code, stdout, stderr } = await runIn(fleet, popOf(fleet, name), [
    "/usr/bin/pc",
    "process",
    "list",
    "-o",
    "json",
  ]);
  const rows = code === 0 ? rowsOf(stdout) : undefined;
  if (!rows)
    throw new CliError(
      `${name}: process-compose did not list its processes (exit code ${code}): ${firstLine(stderr || stdout)} Check with: npx fly-pops exec ${name} -- ps`,
    );
  if (json) printJson(context, rows);
  else print(context, processTable(context, rows));
  return rows.every(isWell) ? 0 : 3;
}

function rowsOf(text: string): ProcessRow[] | undefined {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    return undefined;
  }
  return States.safeParse(json).data?.map((it) => ({
    name: it.name,
    status: it.status,
    ready: it.has_ready_probe ? it.is_ready === "Ready" : null,
    restarts: it.restarts,
    exitCode: it.exit_code,
    pid: it.pid,
    upSeconds: it.is_running ? Math.round(it.age / 1e9) : 0,
    memoryBytes: it.mem,
  }));
}

/** Running, completed successfully, or scheduled. */
const isWell = ({ status, ready, exitCode }: ProcessRow): boolean =>
  ready !== false &&
  (/^(Running|Launched|Scheduled|Skipped)$/.test(status) || (status === "Completed" && exitCode === 0));

function processTable(context: CliContext, rows: readonly ProcessRow[]): string {
  const head = ["process", "status", "ready", "restarts", "exit code", "pid", "up", "memory"];
  return table([
    head.map((cell) => styled(context, "head", cell)),
    ...rows.map((it) => [
      it.name,
      styled(context, isWell(it) ? "good" : "bad", it.status),
      it.ready === null ? "-" : it.ready ? "yes" : "no",
      String(it.restarts),
      String(it.exitCode),
      String(it.pid),
      duration(it.upSeconds),
      `${Math.round(it.memoryBytes / 1024 / 1024)} MB`,
    ]),
  ]);
}

function duration(seconds: number): string {
  if (seconds >= 86_400) return `${Math.floor(seconds / 86_400)} d`;
  if (seconds >= 3600) return `${Math.floor(seconds / 3600)} h`;
  return seconds >= 60 ? `${Math.floor(seconds / 60)} min` : `${seconds} s`;
}

const firstLine = (text: string): string => {
  const line = text.trim().split("\n")[0] ?? "";
  return line === "" ? "nothing." : `${line.replace(/[.]$/, "")}.`;
};
