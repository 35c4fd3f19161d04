/**
 * Real applications behind a real PoP, each with the stack lines that docs/applications.md shows: this tests exactly those lines.
 * One network: client ── TLS ──► edge (PROXY header) ──► PoP ──► application. Clients know the PoP's certificates and check them.
 */
import { globSync, statSync } from "node:fs";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import type { Container, HostConfig } from "dockerode";
import { pack } from "tar-stream";
import { ports } from "../../../image/ports.ts";
import { buildImage } from "../../../local/docker/image.ts";
import { build, docker, exec, ImageHarness, type Pop, unframe, untilHealthy } from "../../image/support/pop.ts";
import { documentedStack } from "../../support/documented-stack.ts";
import { until } from "../../support/until.ts";

/** Inside the range that nginx takes a PROXY header from. */
const network = { name: "fly-pops-applications", subnet: "172.31.222.0/24", gateway: "172.31.222.1" };

/** The image that all these applications and their clients are in. */
const applicationsImage = (): Promise<string> =>
  buildImage(docker, {
    tag: "fly-pops-applications:test",
    context: import.meta.dirname,
    files: [
      "Dockerfile",
      ...globSync("rootfs/**", { cwd: import.meta.dirname }).filter((file) =>
        statSync(join(import.meta.dirname, file)).isFile(),
      ),
    ],
    log: () => {},
  });

/** The longest of them takes a minute and a half on a busy machine. */
const timeoutSeconds = 240;

/** As one word of shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

export interface Ran {
  code: number;
  /** Standard output and standard error, as they came. */
  output: string;
}

export interface Application {
  container: Container;
  /** A line of shell in it, as root. */
  run(line: string): Promise<Ran>;
  logs(): Promise<string>;
}

interface Extras {
  /** Further names on the network. */
  aliases?: string[];
  env?: Record<string, string>;
  /** Directories that lie on a volume, which goes when the container goes. */
  volumes?: string[];
  host?: HostConfig;
}

export class Lab {
  readonly #harness: ImageHarness;
  readonly #image: string;
  readonly pop: Pop;
  #client: Application | undefined;

  private constructor(harness: ImageHarness, image: string, pop: Pop) {
    this.#harness = harness;
    this.#image = image;
    this.pop = pop;
  }

  static async open(): Promise<Lab> {
    // One name for all these files: they run one after another, and one network is enough, which a file that was killed may have left.
    const harness = new ImageHarness("soak-applications");
    await harness.sweep();
    const spec = documentedStack().image;
    const [image, popImage] = await Promise.all([applicationsImage(), build("applications", spec)]);
    await harness.createNetwork(network);
    const pop = await harness.start(popImage, { volume: await harness.newVolume(), networkName: network.name });
    await untilHealthy(pop);
    const lab = new Lab(harness, image, pop);
    const { NetworkSettings } = await pop.container.inspect();
    const address = NetworkSettings.Networks[network.name]?.IPAddress;
    await lab.start("edge", "exec haproxy -f /etc/applications/edge.cfg", {
      aliases: spec.sites.map(({ host }) => host),
      env: { POP: `${address}:${ports.https}` },
    });
    return lab;
  }

  async close(): Promise<void> {
    await this.#harness.sweep();
  }

  /** A container of the applications' image that runs a line of shell, known on the network as `<name>.tail.example`. */
  async start(
    name: string,
    line: string,
    { aliases = [], env = {}, volumes = [], host = {} }: Extras = {},
  ): Promise<Application> {
    const container = await docker.createContainer({
      Image: this.#image,
      Cmd: ["/bin/bash", "-euc", line],
      Env: Object.entries(env).map(([key, value]) => `${key}=${value}`),
      Volumes: Object.fromEntries(volumes.map((path) => [path, {}])),
      Labels: this.#harness.labels,
      HostConfig: { Init: true, NetworkMode: network.name, ...host },
      NetworkingConfig: {
        EndpointsConfig: { [network.name]: { Aliases: [`${name}.tail.example`, ...aliases] } },
      },
    });
    await container.start();
    return {
      container,
      run: (command) => shell(container, command),
      logs: async () => unframe(await container.logs({ stdout: true, stderr: true })),
    };
  }

  /** Waits until the site answers with anything that is not the PoP's own word for an origin that does not. */
  async untilServed(host: string, path = "/"): Promise<void> {
    const ask = `curl -sS -o /dev/null -w '%{http_code}' https://${host}${path}`;
    await until(
      async () => (await this.client(ask)).output,
      (status) => /^[1-4]\d\d$/.test(status),
      { seconds: 60 },
    );
  }

  /**
   * A line of shell in the clients' container, which knows the sites by name and trusts the PoP's certificates. Ends with 124 when it is not done in time:
   * a client that waits for a missing response never ends.
   */
  async client(line: string): Promise<Ran> {
    this.#client ??= await this.#startClient();
    return this.#client.run(`timeout ${timeoutSeconds} bash -c ${quoted(line)}`);
  }

  /** As `client`; throws with all that it said when it does not end with 0. @returns its output. */
  async well(line: string): Promise<string> {
    const { code, output } = await this.client(line);
    if (code !== 0) throw new Error(`ended with ${code}: ${line}\n${output}`);
    return output;
  }

  async #startClient(): Promise<Application> {
    const client = await this.start("client", "exec sleep infinity");
    await this.trust(client);
    return client;
  }

  /** Puts the PoP's certificates among the authorities of a container's system, for every program of it. */
  async trust({ container, run }: Application): Promise<void> {
    const files = pack();
    for (const [host, certificate] of await this.certificates()) {
      files.entry({ name: `usr/local/share/ca-certificates/${host}.crt` }, certificate);
    }
    files.finalize();
    await container.putArchive(files.pipe(new PassThrough()), { path: "/" });
    const { code, output } = await run("update-ca-certificates 2>&1");
    if (code !== 0) throw new Error(output);
  }

  /** PEM of each site's certificate, by host. Never its key. */
  async certificates(): Promise<[host: string, pem: string][]> {
    const { output } = await this.pop.exec([
      "/bin/sh",
      "-c",
      'cd /var/lib/pop/certs && for file in *.pem; do echo "$file"; sed -n "/BEGIN CERT/,/END CERT/p" "$file"; done',
    ]);
    return [...output.matchAll(/^(\S+)\.pem\n(-----BEGIN.*?END CERTIFICATE-----\n)/gms)].map(
      ([, host = "", pem = ""]) => [host, pem],
    );
  }
}

const shell = (container: Container, line: string): Promise<Ran> => exec(container, ["/bin/bash", "-c", line]);
