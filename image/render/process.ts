import { logDir } from "./dirs.ts";
import { drainSeconds } from "./nginx.ts";

/** Seconds each process gets to end before it is killed. */
export const stopTimeoutSeconds = { nginx: drainSeconds + 3, luggage: 10, other: 3 };

/** Pieces of luggage whose logs find room beside those of all the PoP's own processes. */
export const maxLuggage = 20;

/** MB of log files at most, all processes together. */
export const logBudgetMb = 100;

/** A process of process-compose.yaml, as far as it differs from the others. */
export interface Process {
  /** Program and arguments; no shell in between. */
  entrypoint: string[];
  depends_on?: Record<string, { condition: string }>;
  availability?: { restart: "always" | "exit_on_failure" | "on_failure" | "no"; backoff_seconds?: number };
  schedule?: { interval: string };
  readiness_probe?: object;
  shutdown?: { signal?: number; timeout_seconds: number; parent_only?: boolean };
  environment?: string[];
  working_dir?: string;
  /** MB of log files; absent: an equal part of what is left. */
  logMb?: number;
}

/** nginx writes a line a request, the others hardly any. */
export const logQuotaMb = { nginx: 40 };

/** Logging, restart and shutdown of every process, in this one place. */
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

/** The file written to and as many older ones as fit. No older one at all is not to be had: 0 means "keep all". */
function rotation(mb: number) {
  const max_size_mb = Math.min(10, Math.floor(mb / 2));
  if (max_size_mb < 1)
    throw new Error(
      `luggage: no room for the logs of so many processes in ${logBudgetMb} MB. Take ${maxLuggage} at most.`,
    );
  return { max_size_mb, max_backups: Math.floor(mb / max_size_mb) - 1 };
}

export const runas = (user: string, command: string[], passed: string[] = []): string[] => [
  "/usr/bin/runas",
  ...passed.flatMap((name) => ["-e", name]),
  user,
  ...command,
];

/** Nothing of the machine's environment, which holds its secrets. */
export const withCleanEnv = (command: string[], variables: string[] = []): string[] => [
  "/usr/bin/env",
  "-i",
  "PATH=/usr/bin:/usr/sbin",
  "HOME=/root",
  ...variables,
  ...command,
];
