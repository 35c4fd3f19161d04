import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import type { Container, HostConfig } from "dockerode";
import { writeContext } from "../../../image/context.ts";
import { stopSeconds } from "../../../image/limits.ts";
import { ports } from "../../../image/ports.ts";
import type { ImageSpec } from "../../../image/spec.ts";
import { openDocker } from "../../../local/docker/engine.ts";
import { buildImage } from "../../../local/docker/image.ts";
import type { Health } from "../../support/health.ts";
import { processCompose } from "../../support/process-compose.ts";
import { until } from "../../support/until.ts";
import { originCertificate, originKey } from "./origin.ts";
import { network, originName, spec } from "./spec.ts";

export const docker = openDocker();

/** Label of everything that a test file creates in the engine; the value is the name of the file. */
const mark = "fly-pops.image-test";

const cache = resolve(import.meta.dirname, "../../../.cache/image");

/** The user's own files that the sites and the luggage of `spec` name. */
export function writeProject(): string {
  const dir = join(cache, "test-project");
  const files: Record<string, [content: string, mode?: number]> = {
    "origin.pem": [originCertificate],
    "site/index.html": ["<h1>packed</h1>\n"],
    "site/about.html": ["about\n"],
    "site/docs/index.html": ["docs\n"],
    "site/404.html": ["not here\n"],
    "site/large.css": [`${"a { color: red }\n".repeat(500)}`],
    "app/index.html": ["<h1>application</h1>\n"],
    "app/docs/index.html": ["docs of the application\n"],
    "app/app.js": [`${"console.log('application');\n".repeat(100)}`],
    "errors/404.html": ["<h1>our own: not here</h1>\n"],
    "errors/502.html": ["<h1>our own: away</h1>\n"],
    "robots.txt": ["User-agent: *\nDisallow: /own\n"],
    "nginx/http.conf": ["geo $is_office { default no; 203.0.113.0/24 yes; }\n"],
    "nginx/www.conf": [
      'location = /whoami {\n  default_type text/plain;\n  return 200 "office: $is_office\\n";\n}\nsub_filter_once off;\n',
    ],
    "nginx/broken.conf": ["# a comment\nlocaton / { return 204; }\n"],
    "nginx/twice.conf": ["\n\nlocation / {\n  return 204;\n}\n"],
    "site/.well-known/security.txt": ["Contact: mailto:security@example.test\n"],
    "site/.env": ["SECRET=1\n"],
    "lists/bad.txt": ["# bad\n203.0.113.77\n2001:db8:bad::/48 ; a network\n"],
    "blog/index.html": ["luggage\n"],
    // Enough at the start that nginx does not wait for more before it passes it on.
    "blog/cgi-bin/slow": [
      "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nyes begun | head -c 65536\nsleep 2\necho the end\n",
      0o755,
    ],
    "blog/serve": ['#!/bin/sh\nenv > "$HOME/environment"\nexec httpd "$@" "127.0.0.1:$PORT" -h /luggage/blog\n', 0o755],
  };
  for (const [path, [content, mode = 0o644]] of Object.entries(files)) {
    const file = join(dir, path);
    // Other test files write and pack the same directory at the same time: none may find an incomplete file.
    if (existsSync(file) && readFileSync(file, "utf8") === content) continue;
    mkdirSync(dirname(file), { recursive: true });
    const begun = `${dir}-${process.pid}`;
    writeFileSync(begun, content, { mode });
    renameSync(begun, file);
  }
  return dir;
}

/** The image of a spec, rebuilt if its inputs changed. `alter` gets the context's directory before the build; `target` is a stage, by default the last. */
export async function build(
  name: string,
  of: ImageSpec = spec,
  {
    alter,
    noCache = false,
    target,
    log = () => {},
  }: { alter?: (context: string) => void; noCache?: boolean; target?: string; log?: (line: string) => void } = {},
): Promise<string> {
  const context = writeContext(of, join(cache, `test-${name}`), writeProject());
  alter?.(context);
  return buildImage(docker, {
    tag: `fly-pops-image-test:${name}`,
    context,
    files: filesOf(context),
    noCache,
    ...(target === undefined ? {} : { target }),
    log,
  });
}

const filesOf = (dir: string): string[] =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(dir, join(entry.parentPath, entry.name)));

/** A PoP in a container, with the same resources as on local Fly: 256 MB, two capabilities, a volume at /var, FLY_* in the environment. */
export interface Pop {
  container: Container;
  /** Ports of 127.0.0.1 on which its ports are published. */
  https: number;
  http: number;
  health: number;
  /** Port of 127.0.0.1 for one of `Run.published`. */
  reached(port: number): number;
  /** Runs a program in it as root. */
  exec(command: string[]): Promise<{ code: number; output: string }>;
  logs(): Promise<string>;
  /** Published port of the same container after a restart. */
  restart(): Promise<Pop>;
}

export interface Run {
  /** Name of a Docker volume, or what replaces it. */
  volume: string | HostConfig;
  env?: Record<string, string>;
  memoryMb?: number;
  /** Docker network. Default: the engine's bridge. */
  networkName?: string;
  /** Further ports to publish. */
  published?: number[];
  /** Its IPv6 address in the network. Default: the engine's choice, if the network has IPv6. */
  address6?: string;
}

/** nginx with its module for raw TCP. */
const withStream: ImageSpec = {
  sites: [{ kind: "redirect", host: "forwarder.test", to: "https://elsewhere.test", status: 301 }],
  ports: [
    {
      port: 22,
      to: { kind: "host", address: "192.0.2.1:22" },
      limit: { connections: 1, total: 1 },
      idleSeconds: 60,
    },
  ],
  luggage: {},
  dns: { forward: [] },
  cache: { maxSizeMb: 64, indexMb: 1 },
};

const forwarderConf = (to: Record<number, number>, host: string): string => `
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
daemon off;
pid /tmp/nginx.pid;
error_log stderr crit;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
stream {
  proxy_timeout 1h;
  proxy_half_close on;
  ${Object.entries(to)
    .map(([own, port]) => `server { listen ${own} backlog=1024; proxy_pass ${host}:${port}; }`)
    .join("\n  ")}
}
`;

/** What one test file runs in the engine. Objects of other files are left alone: they run at the same time. */
export class ImageHarness {
  /** Name of the file. */
  readonly file: string;
  readonly #labels: Record<string, string>;

  constructor(file: string) {
    this.file = file;
    this.#labels = { [mark]: file };
  }

  /** Label of everything that belongs to this file, so that `sweep` finds it. */
  get labels(): Readonly<Record<string, string>> {
    return this.#labels;
  }

  async start(
    image: string,
    { volume, env = {}, memoryMb = 256, networkName = "bridge", published: others = [], address6 }: Run,
  ): Promise<Pop> {
    const memory = memoryMb * 1024 * 1024;
    const published = [ports.https, ports.http, ports.health, ...others];
    const all = { POP_NAME: "cdg-1", FLY_REGION: "cdg", FLY_APP_NAME: "edge", ...env };
    const container = await docker.createContainer({
      Image: image,
      Labels: this.#labels,
      Env: Object.entries(all).map(([key, value]) => `${key}=${value}`),
      ExposedPorts: Object.fromEntries(published.map((port) => [`${port}/tcp`, {}])),
      HostConfig: {
        Init: true,
        Memory: memory,
        MemorySwap: memory,
        CapAdd: ["NET_ADMIN", "SYS_ADMIN"],
        NetworkMode: networkName,
        PortBindings: Object.fromEntries(
          published.map((port) => [`${port}/tcp`, [{ HostIp: "127.0.0.1", HostPort: "" }]]),
        ),
        ...(typeof volume === "string" ? { Binds: [`${volume}:/var`] } : volume),
      },
      ...(address6 !== undefined && {
        NetworkingConfig: { EndpointsConfig: { [networkName]: { IPAMConfig: { IPv6Address: address6 } } } },
      }),
      StopTimeout: stopSeconds,
    });
    await container.start();
    return attach(container);
  }

  /** One program of the image, alone in a container, as root. */
  async run(
    image: string,
    command: string[],
    env: Record<string, string> = {},
  ): Promise<{ code: number; output: string }> {
    const container = await docker.createContainer({
      Image: image,
      Labels: this.#labels,
      Entrypoint: command,
      Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
      HostConfig: { NetworkMode: "none" },
    });
    await container.start();
    const { StatusCode } = (await container.wait()) as { StatusCode: number };
    const output = unframe(await container.logs({ stdout: true, stderr: true }));
    await container.remove({ v: true });
    return { code: StatusCode, output };
  }

  /** A container with the origin's address on the network, which passes connections on to the test's own process. */
  startForwarder(
    to: { http: number; second: number; https: number },
    at: { address?: string; aliases: string[] } = { address: network.origin, aliases: [originName] },
  ): Promise<Container> {
    return this.forward({ 8443: to.https, 8081: to.second, 8080: to.http }, { ...at, network });
  }

  /** A container that passes hundreds of concurrent connections on from its own ports to ports of the test's process. */
  async forward(
    to: Record<number, number>,
    at: { network: { name: string; gateway: string }; address?: string; aliases: string[] },
  ): Promise<Container> {
    const image = await build(`forwarder-${this.file}`, withStream);
    const conf = forwarderConf(to, at.network.gateway);
    const container = await docker.createContainer({
      Image: image,
      Labels: this.#labels,
      Entrypoint: ["/bin/sh", "-c", `printf %s '${conf}' > /tmp/nginx.conf && exec nginx -c /tmp/nginx.conf`],
      HostConfig: { Init: true, NetworkMode: at.network.name },
      NetworkingConfig: {
        EndpointsConfig: {
          [at.network.name]: {
            ...(at.address !== undefined && { IPAMConfig: { IPv4Address: at.address } }),
            Aliases: at.aliases,
          },
        },
      },
    });
    await container.start();
    return container;
  }

  async createNetwork({
    name,
    subnet,
    gateway,
    subnet6,
  }: {
    name: string;
    subnet: string;
    gateway: string;
    /** Absent: no IPv6. */
    subnet6?: string;
  } = network): Promise<void> {
    await docker.createNetwork({
      Name: name,
      Labels: this.#labels,
      ...(subnet6 !== undefined && { EnableIPv6: true }),
      IPAM: {
        Config: [{ Subnet: subnet, Gateway: gateway }, ...(subnet6 === undefined ? [] : [{ Subnet: subnet6 }])],
      },
    });
  }

  async newVolume(): Promise<string> {
    return (await docker.createVolume({ Labels: this.#labels })).name;
  }

  /** Removes what this file left, now or in an interrupted run. Images stay, so that the next run is quick. */
  async sweep(): Promise<void> {
    const filters = { label: Object.entries(this.#labels).map(([key, value]) => `${key}=${value}`) };
    for (const { Id } of await docker.listContainers({ all: true, filters })) {
      await docker.getContainer(Id).remove({ force: true, v: true });
    }
    for (const { Name } of (await docker.listVolumes({ filters })).Volumes ?? []) await docker.getVolume(Name).remove();
    for (const { Id } of await docker.listNetworks({ filters })) await docker.getNetwork(Id).remove();
  }
}

async function attach(container: Container): Promise<Pop> {
  const { NetworkSettings } = await container.inspect();
  const reached = (port: number): number => Number(NetworkSettings.Ports[`${port}/tcp`]?.[0]?.HostPort);
  return {
    container,
    https: reached(ports.https),
    http: reached(ports.http),
    health: reached(ports.health),
    reached,
    exec: (command) => exec(container, command),
    logs: async () => unframe(await container.logs({ stdout: true, stderr: true })),
    restart: async () => {
      await container.restart();
      return attach(container);
    },
  };
}

/** Runs a program in a container as its user, root by default. */
export async function exec(container: Container, command: string[]): Promise<{ code: number; output: string }> {
  const run = await container.exec({ Cmd: command, AttachStdout: true, AttachStderr: true });
  const stream = await run.start({});
  const both = new PassThrough();
  docker.modem.demuxStream(stream, both, both);
  stream.once("end", () => both.end());
  const output = await text(both);
  return { code: (await run.inspect()).ExitCode ?? -1, output };
}

/** Docker's log frames: eight bytes before each piece, the last four being its length. */
export function unframe(raw: Buffer): string {
  const pieces: Buffer[] = [];
  for (let at = 0; at + 8 <= raw.length; at += 8 + raw.readUInt32BE(at + 4)) {
    pieces.push(raw.subarray(at + 8, at + 8 + raw.readUInt32BE(at + 4)));
  }
  return Buffer.concat(pieces).toString("utf8");
}

/** What the machine's check gets. Undefined: no response. */
export async function health(pop: Pick<Pop, "health">): Promise<{ code: number; report: Health } | undefined> {
  try {
    const answer = await fetch(`http://127.0.0.1:${pop.health}/healthz`, { signal: AbortSignal.timeout(5000) });
    return { code: answer.status, report: (await answer.json()) as Health };
  } catch {
    return undefined;
  }
}

/** Puts a certificate onto the volume, as if `pop certs` had fetched it from the vault, and makes the PoP check its certificates. */
export async function giveCertificate(pop: Pop, host: string): Promise<void> {
  const pair = Buffer.from(`${originCertificate}${originKey}`).toString("base64");
  const write = `umask 027 && echo ${pair} | base64 -d > /var/lib/pop/certs/${host}.pem && pop self-signed`;
  const { code, output } = await pop.exec(["runas", "certs", "/bin/sh", "-c", write]);
  if (code !== 0) throw new Error(`${host} has no certificate: ${output}`);
}

/** process-compose's state of each process; empty while it does not answer yet. */
export async function states(pop: Pop): Promise<Record<string, { status: string; restarts: number }>> {
  const ask = `${processCompose("list", "-o", "json").join(" ")} 2>/dev/null`;
  const { code, output } = await pop.exec(["/bin/sh", "-c", ask]);
  if (code !== 0) return {};
  const all = JSON.parse(output) as { name: string; status: string; restarts: number }[];
  return Object.fromEntries(all.map(({ name, status, restarts }) => [name, { status, restarts }]));
}

export const untilHealthy = (pop: Pop): Promise<unknown> =>
  until(
    () => health(pop),
    (seen) => seen?.report.status === "ok",
  );

/** Reloads nginx. Resolves once no previous worker accepts connections any more. */
export async function reloadNginx(pop: Pop): Promise<void> {
  const accepting = async () =>
    (await pop.exec(["/bin/sh", "-c", "ps -o pid,args"])).output
      .split("\n")
      .filter((line) => line.includes("nginx: worker process") && !line.includes("is shutting down"))
      .map((line) => line.trim().split(" ")[0]);
  const before = await accepting();
  const { code, output } = await pop.exec(["runas", "nginx", "/usr/sbin/nginx", "-s", "reload"]);
  if (code !== 0) throw new Error(`nginx took no other configuration: ${output}`);
  await until(accepting, (now) => now.length > 0 && !now.some((pid) => before.includes(pid)));
}
