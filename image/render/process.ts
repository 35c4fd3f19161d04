import { logDir } from "./dirs.ts";
import { drainSeconds } from "./nginx.ts";

/** Seconds each process has to stop before it is killed. */
export const stopTimeoutSeconds = { nginx: drainSeconds + 3, luggage: 10, other: 3 };

/** How many pieces of luggage there can be: their logs have to fit beside those of the PoP's own processes. */
export const maxLuggage = 20;

/** Total size of all log files in MB. */
export const logBudgetMb = 100;

/** A process of process-compose.yaml, as far as it differs from the defaults. */
export interface Process {
  /** Program and arguments, run without a shell. */
  entrypoint: string[];
  depends_on?: Record<string, { condition: string }>;
  availability?: { restart: "always" | "exit_on_failure" | "on_failure" | "no"; backoff_seconds?: number };
  schedule?: { interval: string };
  readiness_probe?: object;
  shutdown?: { signal?: number; timeout_seconds: number; parent_only?: boolean };
  environment?: string[];
  working_dir?: string;
  /** MB of log files. Absent: an equal share of what is left. */
  logMb?: number;
}

/** nginx writes a line per request, the others hardly any. */
export const logQuotaMb = { nginx: 40 };

/** Defaults for logging, restart and shutdown of every process. */
export function withDefaults(name: string, { entrypoint, logMb, ...process }: Process, count: number) {
  return {
    entrypoint,
    availability: { restart: "always", backoff_seconds: 2 },
    // Without a timeout it would never be killed.
    shutdown: { timeout_seconds: stopTimeoutSeconds.other },
    working_dir: "/",
    is_dotenv_disabled: true,
    log_location: `${logDir}/${name}.log`,
    log_configuration: {
      rotation: rotation(logMb ?? Math.floor((logBudgetMb - logQuotaMb.nginx) / (count - 1))),
      disable_json: true,
      no_metadata: true,
      no_color: true,
      add_timestamp: true,
      timestamp_format: "2006-01-02T15:04:05Z07:00",
      flush_each_line: true,
    },
    ...process,
  };
}

/** The current file and as many older ones as fit. At least one older file is needed: 0 means "keep all". */
function rotation(mb: number) {
  const max_size_mb = Math.min(10, Math.floor(mb / 2));
  if (max_size_mb < 1)
    throw new Error(
      `luggage: the logs of so many processes do not fit in ${logBudgetMb} MB. Use ${maxLuggage} at most.`,
    );
  return { max_size_mb, max_backups: Math.floor(mb / max_size_mb) - 1 };
}

export const runas = (user: string, command: string[], passed: string[] = []): string[] => [
  "/usr/bin/runas",
  ...passed.flatMap((name) => ["-e", name]),
  user,
  ...command,
];

/** Runs the command without the machine's environment, which contains secrets. */
export const withCleanEnv = (command: string[], variables: string[] = []): string[] => [
  "/usr/bin/env",
  "-i",
  "PATH=/usr/bin:/usr/sbin",
  "HOME=/root",
  ...variables,
  ...command,
];
