/** A PoP and whom it is compared with: Debian's own nginx and Caddy, each in a container of its own with the same certificate. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import type { Socket } from "node:net";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { connect as tlsConnect } from "node:tls";
import type { Container } from "dockerode";
import { pack } from "tar-stream";
import type { ImageSpec } from "../../image/spec.ts";
import { enterTls, https } from "../../test/image/support/client.ts";
import type { Loaded } from "../../test/image/support/load.ts";
import { build, docker, exec, type ImageHarness } from "../../test/image/support/pop.ts";
import { until } from "../../test/support/until.ts";

export interface Server {
  container: Container;
  /** One connection to it, handshake done. */
  open: () => Promise<Socket>;
}

/** Of all servers by name; `ours` is the PoP. */
export type Servers = Record<"ours" | "stockNginx" | "caddy", Server>;

export interface Compared {
  spec: ImageSpec;
  /** The one of its sites that is asked. */
  host: string;
  /** What the PoP answers with 200 once it serves. */
  path: string;
  /** Docker network, where the origin is. */
  networkName: string;
  /** Configurations of the others. Each finds key and certificate in /site.pem. */
  stockNginxConf: string;
  caddyfile: string;
  /** More files of the others, by path. */
  files?: Record<string, string>;
}

/** Builds and starts them all; the origin has to be there already. */
export async function startServers(harness: ImageHarness, compared: Compared): Promise<Servers> {
  const { spec, host, path, networkName, stockNginxConf, caddyfile, files } = compared;
  const [image, stock, caddy] = [
    await build(harness.file, spec),
    await buildBeside("stock-nginx", spec),
    await buildBeside("caddy", spec),
  ];
  const pop = await harness.start(image, { volume: await harness.newVolume(), networkName });
  await until(
    () => https({ port: pop.https, host, path }).catch(() => undefined),
    (seen) => seen?.status === 200,
    { seconds: 60 },
  );
  const { output: pem } = await pop.exec(["cat", `/var/lib/pop/certs/${host}.pem`]);
  const start = (from: string, own: Record<string, string>) =>
    startOther(harness, from, { networkName, host, files: { "site.pem": pem, ...files, ...own } });
  return {
    ours: { container: pop.container, open: () => enterTls(pop.https, { servername: host }) },
    stockNginx: await start(stock, { "etc/nginx/conf.d/site.conf": stockNginxConf }),
    caddy: await start(caddy, { "etc/caddy/Caddyfile": caddyfile }),
  };
}

/** A stage of Dockerfile.part, behind those of the image. */
export const buildBeside = (target: "stock-nginx" | "caddy" | "distance", spec: ImageSpec): Promise<string> =>
  build(`beside-${target}`, spec, { target, alter });

function alter(context: string): void {
  mkdirSync(join(context, "edge"), { recursive: true });
  cpSync(import.meta.dirname, join(context, "edge"), { recursive: true });
  const dockerfile = join(context, "Dockerfile");
  const text = readFileSync(dockerfile, "utf8");
  writeFileSync(dockerfile, text + readFileSync(join(import.meta.dirname, "Dockerfile.part"), "utf8"));
}

async function startOther(
  harness: ImageHarness,
  image: string,
  { networkName, host, files }: { networkName: string; host: string; files: Record<string, string> },
): Promise<Server> {
  const container = await docker.createContainer({
    Image: image,
    Labels: harness.labels,
    ExposedPorts: { "443/tcp": {} },
    HostConfig: {
      Init: true,
      Memory: 256 * 1024 * 1024,
      NetworkMode: networkName,
      PortBindings: { "443/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
    },
  });
  const archive = pack();
  for (const [name, content] of Object.entries(files)) archive.entry({ name }, content);
  archive.finalize();
  await container.putArchive(archive.pipe(new PassThrough()), { path: "/" });
  await container.start();
  const { NetworkSettings } = await container.inspect();
  const port = Number(NetworkSettings.Ports["443/tcp"]?.[0]?.HostPort);
  const open = (): Promise<Socket> =>
    new Promise((secured, failed) => {
      const socket = tlsConnect({
        host: "127.0.0.1",
        port,
        servername: host,
        rejectUnauthorized: false,
        ALPNProtocols: ["http/1.1"],
      });
      socket.once("secureConnect", () => secured(socket)).once("error", failed);
    });
  await until(
    () =>
      open().then(
        (socket) => socket.destroy(),
        () => undefined,
      ),
    (seen) => seen !== undefined,
    { seconds: 60 },
  );
  return { container, open };
}

/** Work that a server has done, and the seconds of processor time its container took for it. Throws when an outcome is not as wanted. */
export async function measured(
  { container }: Server,
  what: string,
  work: () => Promise<Loaded>,
  wanted = "200",
): Promise<Loaded & { cpuSeconds: number }> {
  const before = await cpuSeconds(container);
  const loaded = await work();
  const seconds = (await cpuSeconds(container)) - before;
  if (loaded.outcomes[wanted] !== loaded.requests)
    throw new Error(`${what}: not every answer was ${wanted}: ${JSON.stringify(loaded.outcomes)}`);
  return { ...loaded, cpuSeconds: seconds };
}

/** Processor time of all in the container so far. */
async function cpuSeconds(container: Container): Promise<number> {
  const seen = await container.stats({ stream: false, "one-shot": true });
  return seen.cpu_stats.cpu_usage.total_usage / 1e9;
}

/** As the nginx in it says, such as "1.26.3". */
export async function nginxVersion({ container }: Server): Promise<string> {
  const { output } = await exec(container, ["nginx", "-v"]);
  const [, version] = /nginx\/([0-9.]+)/.exec(output) ?? [];
  if (version === undefined) throw new Error(`nginx -v did not say a version: ${output}`);
  return version;
}

/** How many times the one is the other: the median of the ratios within each round, as what else the machine did then met both. */
export const ratioByRounds = (ones: readonly number[], others: readonly number[]): number =>
  median(ones.map((it, round) => it / (others[round] ?? Number.NaN)));

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

export const round = (value: number): number => Math.round(value * 100) / 100;
