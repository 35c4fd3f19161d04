import { posix } from "node:path";
import { stringify } from "yaml";
import { ports } from "../ports.ts";
import type { ImageSpec, Luggage } from "../spec.ts";
import { logFolder } from "./folders.ts";
import { isLuggageName, whole } from "./names.ts";
import { drainSeconds } from "./nginx.ts";
import { luggageUser } from "./users.ts";

/** Seconds each process gets to end before it is killed. */
const endSeconds = { nginx: drainSeconds + 3, luggage: 10, other: 3 };

/**
 * Seconds from the machine's stop signal to the end of its last process, at worst: nginx drains, then its dependencies end. A machine's kill timeout
 * (Fly: `stop_config.timeout`, 5 s when not said) must lie above.
 */
export const shutdownSeconds = endSeconds.nginx + endSeconds.luggage + endSeconds.other;

/** MB of log files at most, all processes together. */
export const logBudgetMb = 100;

/** process-compose.yaml: which processes there are, who waits for whom, who comes back. */
export function processCompose(spec: Pick<ImageSpec, "luggage">): string {
  refuseTakenPorts(spec.luggage);
  const luggage = Object.entries(spec.luggage).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const carried = luggage.map(([name, it]) => [luggageUser(name), luggageProcess(name, it)] as const);
  const after = (names: string[]) => Object.fromEntries(names.map((name) => [name, { condition: "process_started" }]));
  const ready = { postInit: { condition: "process_completed_successfully" } };
  const processes: Record<string, Process> = {
    // Ends the machine only when it cannot run at all: what a reboot does not cure, it says and goes on.
    postInit: { entrypoint: ["/usr/libexec/pop/post-init"], availability: { restart: "exit_on_failure" } },
    unbound: {
      entrypoint: runas("unbound", ["/usr/sbin/unbound", "-d", "-c", "/etc/unbound/unbound.conf"]),
      depends_on: ready,
      readiness_probe: {
        initial_delay_seconds: 2,
        exec: { command: "/usr/bin/pop ask unbound" },
        period_seconds: 30,
        timeout_seconds: 5,
        failure_threshold: 4,
      },
    },
    // Waits for nothing that can be away. That unbound and luggage are among its dependencies makes them end after it.
    nginx: {
      entrypoint: runas("nginx", ["/usr/libexec/pop/nginx"]),
      depends_on: { ...ready, ...after(["unbound", ...carried.map(([name]) => name)]) },
      readiness_probe: {
        initial_delay_seconds: 1,
        http_get: { host: "127.0.0.1", scheme: "http", port: String(ports.nginxStatus), path: "/healthz" },
        period_seconds: 10,
        timeout_seconds: 5,
        failure_threshold: 6,
      },
      // SIGQUIT for the master alone (its shell passes it on): it drains its workers.
      shutdown: { signal: 3, timeout_seconds: endSeconds.nginx, parent_only: true },
      logMb: logShares.nginx,
    },
    // Root starts it, as it does all, and does nothing but become two others in turn: who may write certificates, who may signal nginx.
    renew: {
      entrypoint: ["/usr/libexec/pop/renew"],
      depends_on: ready,
      availability: { restart: "no" },
      schedule: { interval: "24h" },
    },
    health: { entrypoint: runas("health", ["/usr/bin/pop", "health"]), depends_on: ready },
    ...Object.fromEntries(carried.map(([name, it]) => [name, { ...it, depends_on: ready }])),
  };
  return stringify(
    {
      version: "0.5",
      is_strict: true,
      is_tui_disabled: true,
      disable_env_expansion: true,
      ordered_shutdown: true,
      log_length: 200,
      shell: { shell_command: "/bin/sh", shell_argument: "-c" },
      processes: Object.fromEntries(
        Object.entries(processes).map(([name, it]) => [name, withDefaults(name, it, Object.keys(processes).length)]),
      ),
    },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

interface Process {
  /** Program and arguments; no shell in between. */
  entrypoint: string[];
  depends_on?: Record<string, { condition: string }>;
  availability?: { restart: "exit_on_failure" | "no" };
  schedule?: { interval: string };
  readiness_probe?: object;
  shutdown?: { signal?: number; timeout_seconds: number; parent_only?: boolean };
  environment?: string[];
  working_dir?: string;
  /** MB of log files; absent: an equal part of what is left. */
  logMb?: number;
}

/** nginx writes a line a request, the others hardly any. */
const logShares = { nginx: 40 };

/** Logging, restart and shutdown of every process, in this one place. */
function withDefaults(name: string, { entrypoint, logMb, ...process }: Process, count: number) {
  return {
    entrypoint,
    availability: { restart: "always", backoff_seconds: 2 },
    // Without a timeout it would never be killed.
    shutdown: { timeout_seconds: endSeconds.other },
    working_dir: "/",
    is_dotenv_disabled: true,
    log_location: `${logFolder}/${name}.log`,
    log_configuration: {
      rotation: rotation(logMb ?? Math.floor((logBudgetMb - logShares.nginx) / (count - 1))),
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
    throw new Error(`luggage: no room for the logs of so many processes in ${logBudgetMb} MB. Take 25 at most.`);
  return { max_size_mb, max_backups: Math.floor(mb / max_size_mb) - 1 };
}

const runas = (user: string, command: string[], passed: string[] = []): string[] => [
  "/usr/bin/runas",
  ...passed.flatMap((name) => ["-e", name]),
  user,
  ...command,
];

/** Set by runas itself, or steering the dynamic linker: it refuses to pass these on. */
const reserved = /^(?:PATH|HOME|USER|LOGNAME|SHELL|GCONV_PATH|LD_.*)$/;

function luggageProcess(name: string, { command, env, port }: Luggage): Process {
  if (!isLuggageName(name)) throw new Error(`luggage ${JSON.stringify(name)}: not a name for a process and its user.`);
  const [program, ...rest] = command;
  if (!program) throw new Error(`luggage.${name}.command is empty: it wants a program and its arguments.`);
  const own = {
    ...env,
    ...(port === undefined ? {} : { PORT: String(whole(port, `luggage.${name}.port`, { min: 1024, max: 65535 })) }),
  };
  for (const [key, value] of Object.entries(own)) {
    if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || reserved.test(key) || value.includes("\0"))
      throw new Error(`luggage.${name}.env: ${JSON.stringify(key)} cannot be set for a process.`);
  }
  const folder = `/luggage/${name}`;
  const passed = [...Object.keys(own).toSorted(), "POP_NAME", "FLY_APP_NAME", "FLY_REGION", "FLY_MACHINE_ID"];
  return {
    entrypoint: runas(luggageUser(name), [posix.resolve(folder, program), ...rest], [...new Set(passed)]),
    environment: Object.entries(own)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, value]) => `${key}=${verbatim(value)}`),
    working_dir: folder,
    shutdown: { timeout_seconds: endSeconds.luggage },
  };
}

function refuseTakenPorts(luggage: ImageSpec["luggage"]): void {
  const taken = new Map<number, string>(Object.values(ports).map((port) => [port, "the PoP itself"]));
  for (const [name, { port }] of Object.entries(luggage)) {
    if (port === undefined) continue;
    const owner = taken.get(port);
    if (owner) throw new Error(`luggage.${name}.port is ${port}: taken by ${owner}.`);
    taken.set(port, `luggage.${name}`);
  }
}

/** process-compose renders the environment as a Go template, whatever is switched off; here braces mean braces. Arguments it leaves alone. */
const verbatim = (text: string): string => text.replaceAll("{{", '{{"{{"}}');
