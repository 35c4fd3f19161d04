import { posix } from "node:path";
import { stringify } from "yaml";
import { ports } from "../ports.ts";
import type { ImageSpec, Luggage, Tailnet } from "../spec.ts";
import { logFolder } from "./folders.ts";
import { hostLabelPart, isLuggageName, origin, originUrl, tailnetTag, whole } from "./names.ts";
import { drainSeconds } from "./nginx.ts";
import { secrets } from "./secrets.ts";
import { luggageUser } from "./users.ts";

/** Seconds each process gets to end before it is killed. */
const endSeconds = { nginx: drainSeconds + 3, luggage: 10, other: 3 };

/**
 * Seconds from the machine's stop signal to the end of its last process, at worst: nginx drains, then its dependencies end. A machine's kill timeout
 * (Fly: `stop_config.timeout`, 5 s when not said) must lie above.
 */
export const shutdownSeconds = endSeconds.nginx + endSeconds.luggage + endSeconds.other;

/** Pieces of luggage whose logs find room beside those of all the PoP's own processes. */
export const mostLuggage = 20;

/** MB of log files at most, all processes together. */
export const logBudgetMb = 100;

/** process-compose.yaml: which processes there are, who waits for whom, who comes back. */
export function processCompose(spec: Pick<ImageSpec, "luggage" | "tailnet" | "certificates" | "ssh">): string {
  refuseTakenPorts(spec.luggage);
  const luggage = Object.entries(spec.luggage).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const carried = luggage.map(([name, it]) => [luggageUser(name), luggageProcess(name, it)] as const);
  const after = (names: string[]) => Object.fromEntries(names.map((name) => [name, { condition: "process_started" }]));
  const ready = { postInit: { condition: "process_completed_successfully" } };
  const tailnet = spec.tailnet ? { tailscaled } : {};
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
    // Waits for nothing that can be away: the others need only have been launched. That they are among its dependencies makes them end after it. Luggage that
    // waits for secrets is not: they may never come.
    nginx: {
      entrypoint: runas("nginx", ["/usr/libexec/pop/run-nginx"]),
      depends_on: {
        ...ready,
        ...after([
          "unbound",
          ...Object.keys(tailnet),
          ...carried.filter(([, it]) => !it.depends_on).map(([name]) => name),
        ]),
      },
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
    // The only one beside root who may signal nginx, and does so when certificates changed: neither who writes them nor who fetches them can.
    reload: { entrypoint: runas("nginx", ["/usr/bin/pop", "reload"]), depends_on: ready },
    // Once a day: certificates of the PoP's own making are made anew when they near their end.
    renew: {
      entrypoint: runas("certs", ["/usr/bin/pop", "self-signed"]),
      depends_on: ready,
      availability: { restart: "no" },
      schedule: { interval: "24h" },
    },
    health: { entrypoint: runas("health", ["/usr/bin/pop", "health"]), depends_on: ready },
    ...Object.fromEntries(Object.entries(tailnet).map(([name, it]) => [name, { ...it, depends_on: ready }])),
    ...(spec.tailnet ? { "tailscale-up": joining(spec.tailnet) } : {}),
    ...(secrets(spec).length > 0 ? { secrets: { ...unsealing, depends_on: ready } } : {}),
    ...(spec.ssh ? { sshd: listening(spec) } : {}),
    ...(spec.certificates ? { certs: { ...fetching, depends_on: ready } } : {}),
    ...Object.fromEntries(carried.map(([name, it]) => [name, { ...it, depends_on: { ...ready, ...it.depends_on } }])),
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
    throw new Error(
      `luggage: no room for the logs of so many processes in ${logBudgetMb} MB. Take ${mostLuggage} at most.`,
    );
  return { max_size_mb, max_backups: Math.floor(mb / max_size_mb) - 1 };
}

const runas = (user: string, command: string[], passed: string[] = []): string[] => [
  "/usr/bin/runas",
  ...passed.flatMap((name) => ["-e", name]),
  user,
  ...command,
];

/** Nothing of the machine's environment, which holds its secrets. */
const bare = (command: string[], variables: string[] = []): string[] => [
  "/usr/bin/env",
  "-i",
  "PATH=/usr/bin:/usr/sbin",
  "HOME=/root",
  ...variables,
  ...command,
];

/** Tries again until what the machine was given can be opened; the reason is in /healthz meanwhile. Only who needs a secret waits. */
const unsealing: Process = {
  entrypoint: bare(["/usr/bin/pop-secrets", "--manifest", "/etc/pop/secrets.json"]),
  availability: { restart: "on_failure", backoff_seconds: 15 },
};

/** Runs for ever, and by itself tries again: until the tailnet is up, the vault answers, its credentials are there. */
const fetching: Process = { entrypoint: runas("certs", ["/usr/bin/pop", "certs", "--config", "/etc/pop/certs.json"]) };

/**
 * It has no probe: one that is true only after the login would end it, over and over, while the tailnet is away.
 * Memory: half as eager as Go's default, and about a third of the smallest machine.
 */
const tailscaled: Process = {
  entrypoint: bare(
    [
      "/usr/sbin/tailscaled",
      "--statedir=/var/lib/tailscale",
      "--socket=/run/tailscale/tailscaled.sock",
      "--port=41641",
    ],
    [
      "GOGC=50",
      "GOMEMLIMIT=80MiB",
      "TS_DEBUG_FIREWALL_MODE=nftables",
      // Nothing of it goes to Tailscale's own collector of logs; the trimmed program could not send any.
      "TS_NO_LOGS_NO_SUPPORT=1",
    ],
  ),
  availability: { restart: "always", backoff_seconds: 5 },
};

/** Nobody waits for it: while it tries again, nginx serves what is cached. */
const joining = ({ loginServer, tags, hostPrefix }: Tailnet): Process => ({
  entrypoint: [
    "/usr/libexec/pop/tailscale-up",
    hostLabelPart(hostPrefix),
    ...(loginServer === undefined ? [] : [`--login-server=${originUrl(origin(loginServer))}`]),
    `--advertise-tags=${tags.map((tag) => `tag:${tailnetTag(tag)}`).join(",")}`,
  ],
  depends_on: { tailscaled: { condition: "process_started" } },
  availability: { restart: "on_failure", backoff_seconds: 10 },
});

/** Its address is the tailnet's. */
function listening({ tailnet }: Pick<ImageSpec, "tailnet">): Process {
  if (!tailnet) throw new Error("ssh: its server listens in the tailnet, and there is none.");
  return {
    entrypoint: bare(["/usr/libexec/pop/sshd"]),
    depends_on: { tailscaled: { condition: "process_started" } },
    availability: { restart: "always", backoff_seconds: 10 },
  };
}

/** Set by runas itself, or steering the dynamic linker: it refuses to pass these on. */
const reserved = /^(?:PATH|HOME|USER|LOGNAME|SHELL|GCONV_PATH|LD_.*)$/;

function luggageProcess(name: string, { command, env, port, secrets = [] }: Luggage): Process {
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
    ...(secrets.length > 0 && { depends_on: { secrets: { condition: "process_completed_successfully" } } }),
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
