import { stringify } from "yaml";
import { byKey } from "../../lib/order.ts";
import { contextVariables } from "../identity.ts";
import { ports } from "../ports.ts";
import type { ImageSpec, Tailnet } from "../spec.ts";
import { acmeVariables } from "./acme.ts";
import { assertValidChains, luggageProcessName } from "./dependencies.ts";
import { assertUniquePorts, luggageProcess } from "./luggage.ts";
import { logQuotaMb, type Process, runas, stopTimeoutSeconds, withCleanEnv, withDefaults } from "./process.ts";
import { type SecretsSpec, secrets } from "./secrets.ts";

type ProcessComposeSpec = SecretsSpec & Pick<ImageSpec, "ssh" | "logs">;

/** CA file of the user's own control server, in the image. */
export const tailnetCaFile = "etc/pop/tailnet-ca.pem";

/** process-compose.yaml: the processes, what each waits for, and how each is restarted. */
export function processCompose(spec: ProcessComposeSpec): string {
  const all = Object.entries(processes(spec));
  return stringify(
    {
      version: "0.5",
      is_strict: true,
      is_tui_disabled: true,
      disable_env_expansion: true,
      ordered_shutdown: true,
      log_length: 200,
      shell: { shell_command: "/bin/sh", shell_argument: "-c" },
      processes: Object.fromEntries(all.map(([name, it]) => [name, withDefaults(name, it, all.length)])),
    },
    { lineWidth: 0, aliasDuplicateObjects: false },
  );
}

/**
 * Seconds from the machine's stop signal to the end of its last process, in the worst case: each process stops after all that depend on it. The machine's kill
 * timeout (limits.stopSeconds) must be longer.
 */
export function shutdownSeconds(spec: ProcessComposeSpec): number {
  const all = processes(spec);
  const longest = (name: string): number =>
    (all[name]?.shutdown?.timeout_seconds ?? stopTimeoutSeconds.other) +
    Math.max(0, ...Object.keys(all[name]?.depends_on ?? {}).map(longest));
  return Math.max(...Object.keys(all).map(longest));
}

function processes(spec: ProcessComposeSpec): Record<string, Process> {
  assertUniquePorts(spec.luggage);
  assertValidChains(spec);
  const luggage = Object.entries(spec.luggage).toSorted(byKey);
  const userProcesses = luggage.map(
    ([name, it]) => [luggageProcessName(name), luggageProcess(name, it, spec)] as const,
  );
  const afterStart = (names: string[]) =>
    Object.fromEntries(names.map((name) => [name, { condition: "process_started" }]));
  const afterPostInit = { postInit: { condition: "process_completed_successfully" } };
  const tailnet = spec.tailnet ? { tailscaled: tailscaledProcess(spec.tailnet) } : {};
  return {
    // Ends the machine only if it cannot run at all. Problems that a reboot would not fix are reported, and the boot continues.
    postInit: { entrypoint: ["/usr/libexec/pop/post-init"], availability: { restart: "exit_on_failure" } },
    unbound: {
      entrypoint: runas("unbound", ["/usr/sbin/unbound", "-d", "-c", "/etc/unbound/unbound.conf"]),
      depends_on: afterPostInit,
      readiness_probe: {
        initial_delay_seconds: 2,
        exec: { command: "/usr/bin/pop ask unbound" },
        period_seconds: 30,
        timeout_seconds: 5,
        failure_threshold: 4,
      },
    },
    // nginx waits for nothing that can be down: `process_started` only requires that the others were launched. Having them as dependencies makes them stop
    // after nginx. Luggage with dependencies of its own is left out, because it may never start.
    nginx: {
      entrypoint: runas("nginx", ["/usr/libexec/pop/run-nginx"]),
      depends_on: {
        ...afterPostInit,
        ...afterStart([
          "unbound",
          ...Object.keys(tailnet),
          // Answers challenges that still arrive while the machine stops: a CA fails an order after a single 502.
          ...(spec.certificates?.acme ? ["certs"] : []),
          ...userProcesses.filter(([, it]) => !it.depends_on).map(([name]) => name),
        ]),
      },
      readiness_probe: {
        initial_delay_seconds: 1,
        http_get: { host: "127.0.0.1", scheme: "http", port: String(ports.nginxStatus), path: "/healthz" },
        period_seconds: 10,
        timeout_seconds: 5,
        failure_threshold: 6,
      },
      // SIGQUIT to the master alone (its shell passes it on): it drains its workers.
      shutdown: { signal: 3, timeout_seconds: stopTimeoutSeconds.nginx, parent_only: true },
      logMb: logQuotaMb.nginx,
    },
    // Renews self-signed certificates before they expire, and replaces files that nginx cannot use. `certs` itself renews the certificates that it fetches from
    // a vault.
    renew: {
      entrypoint: runas("certs", ["/usr/bin/pop", "self-signed"]),
      depends_on: afterPostInit,
      availability: { restart: "no" },
      schedule: { interval: "10m" },
    },
    health: {
      entrypoint: runas("health", ["/usr/bin/pop", "health"], Object.values(contextVariables)),
      depends_on: afterPostInit,
    },
    ...Object.fromEntries(Object.entries(tailnet).map(([name, it]) => [name, { ...it, depends_on: afterPostInit }])),
    ...(spec.tailnet
      ? { "tailscale-up": tailscaleUpProcess(spec.tailnet), "tailscale-again": tailscaleAgainProcess(spec.tailnet) }
      : {}),
    ...(secrets(spec).length > 0 ? { secrets: { ...secretsProcess, depends_on: afterPostInit } } : {}),
    ...(spec.ssh ? { sshd: sshdProcess(spec) } : {}),
    ...(spec.logs?.syslog ? { syslog: { ...syslogProcess, depends_on: afterPostInit } } : {}),
    ...(spec.certificates ? { certs: { ...certsProcess(spec.certificates), depends_on: afterPostInit } } : {}),
    ...Object.fromEntries(
      userProcesses.map(([name, it]) => [name, { ...it, depends_on: { ...afterPostInit, ...it.depends_on } }]),
    ),
  };
}

/** Retries until the sealed files can be opened; until then /healthz shows the reason. Only processes that need a secret wait for it. */
const secretsProcess: Process = {
  entrypoint: withCleanEnv(["/usr/bin/pop-secrets", "--manifest", "/etc/pop/secrets.json"]),
  availability: { restart: "on_failure", backoff_seconds: 15 },
};

/** nginx neither waits for it nor needs it. */
const syslogProcess: Process = { entrypoint: runas("health", ["/usr/bin/pop", "syslog"]) };

/** Runs permanently and retries by itself until the tailnet is up, the vault or the CA answers, and its credentials are there. */
const certsProcess = ({ acme }: NonNullable<ImageSpec["certificates"]>): Process => ({
  entrypoint: runas(
    "certs",
    ["/usr/bin/pop", "certs", "--config", "/etc/pop/certs.json"],
    acme ? Object.values(acmeVariables) : [],
  ),
});

/**
 * Has no probe: one that passes only after the login would restart it over and over while the tailnet is down. Memory: GOGC is half of Go's default, and
 * GOMEMLIMIT about a third of the smallest machine.
 */
const tailscaledProcess = ({ ca, udpOffload = true }: Tailnet): Process => ({
  entrypoint: withCleanEnv(
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
      // Sends nothing to Tailscale's log collector; the trimmed program could not do so anyway.
      "TS_NO_LOGS_NO_SUPPORT=1",
      // https://github.com/tailscale/tailscale/blob/v1.102.3/net/batching/conn_linux.go
      ...(udpOffload ? [] : ["TS_DEBUG_DISABLE_UDP_GSO=1", "TS_DEBUG_DISABLE_UDP_GRO=1"]),
      ...caEnvironment(ca),
    ],
  ),
  availability: { restart: "always", backoff_seconds: 5 },
});

/** Ends once the PoP is a node. None of the PoP's own processes waits for it: while it retries, nginx serves what is cached. */
const tailscaleUpProcess = (tailnet: Tailnet): Process => ({
  entrypoint: joinCommand(tailnet),
  depends_on: { tailscaled: { condition: "process_started" } },
  availability: { restart: "on_failure", backoff_seconds: 10 },
});

/** A node can be removed, expire or be logged out while it runs. What can be fixed without a person is fixed within a minute. */
const tailscaleAgainProcess = (tailnet: Tailnet): Process => ({
  entrypoint: joinCommand(tailnet),
  availability: { restart: "no" },
  schedule: { interval: "1m" },
});

/** Asks the control server itself whether it is reachable. */
const joinCommand = ({ ca }: Tailnet): string[] => withCleanEnv(["/usr/bin/pop", "join"], caEnvironment(ca));

const caEnvironment = (ca: string | undefined): string[] =>
  ca === undefined ? [] : [`SSL_CERT_FILE=/${tailnetCaFile}`];

/** Listens on the PoP's address in the tailnet. */
function sshdProcess({ tailnet }: Pick<ImageSpec, "tailnet">): Process {
  if (!tailnet) throw new Error("ssh: its server listens in the tailnet, but there is no tailnet.");
  return {
    entrypoint: withCleanEnv(["/usr/libexec/pop/sshd"]),
    depends_on: { tailscaled: { condition: "process_started" } },
    availability: { restart: "always", backoff_seconds: 10 },
  };
}
