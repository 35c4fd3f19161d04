/** A PoP of a whole stack, and one web server in the test's own process that stands in for all of its origins. */
import type { IncomingMessage } from "node:http";
import { tcpPorts } from "../../../image/ports.ts";
import { partsOf } from "../../../image/render/site-parts.ts";
import { parseOrigin as originOf, parseEndpoint } from "../../../image/render/validators.ts";
import type { ImageSpec } from "../../../image/spec.ts";
import { until } from "../../support/until.ts";
import { https, type Visit, type Visited } from "./client.ts";
import { type Origin, startOrigin } from "./origin.ts";
import { build, health, ImageHarness, type Pop } from "./pop.ts";

/** Within the range from which nginx accepts a PROXY header. */
export interface LabNetwork {
  name: string;
  subnet: string;
  gateway: string;
}

export class StackLab {
  readonly pop: Pop;
  readonly origin: Origin;
  readonly #harness: ImageHarness;

  private constructor(harness: ImageHarness, pop: Pop, origin: Origin) {
    this.#harness = harness;
    this.pop = pop;
    this.origin = origin;
  }

  /**
   * @param name of the test file. Names of origins are resolved by Docker's name server, to which the stack has to forward them.
   * @param others ports at the origin that are not the web server's, and who answers there: targets of the stack's ports, and origins that terminate TLS
   * themselves
   */
  static async open(
    name: string,
    spec: ImageSpec,
    network: LabNetwork,
    others: Record<number, number> = {},
  ): Promise<StackLab> {
    const harness = new ImageHarness(name);
    await harness.sweep();
    const image = await build(name, spec);
    await harness.createNetwork(network);
    const origin = await startOrigin();
    const { passThrough = [], ports = [] } = spec;
    const web = spec.sites
      .flatMap(partsOf)
      .flatMap((part) => (part.kind === "proxy" ? part.origins : []))
      .map(originOf);
    const all = [
      ...web,
      ...passThrough.flatMap(({ origins }) => origins.map(originOf)),
      ...ports.flatMap(({ to }) => (to.kind === "host" ? [parseEndpoint(to.address)] : [])),
    ];
    await harness.forward(
      { ...Object.fromEntries(web.map(({ port }) => [port, origin.port])), ...others },
      {
        network,
        aliases: [...new Set(all.filter(({ isAddress }) => !isAddress).map(({ host }) => host))],
      },
    );
    const pop = await harness.start(image, {
      volume: await harness.newVolume(),
      networkName: network.name,
      published: [...tcpPorts(ports).values()],
    });
    // Degraded if the stack has secrets: none were encrypted for it.
    await until(
      () => health(pop),
      (seen) => seen?.code === 200,
    );
    return new StackLab(harness, pop, origin);
  }

  async close(): Promise<void> {
    await this.#harness.sweep();
    await this.origin.close();
  }

  get(host: string, path = "/", more: Partial<Visit> = {}): Promise<Visited> {
    return https({ port: this.pop.https, host, path, ...more });
  }

  /** Statuses of as many consecutive requests. */
  async statuses(count: number, host: string, path: string, more: Partial<Visit> = {}): Promise<number[]> {
    const all: number[] = [];
    for (let at = 0; at < count; at++) all.push((await this.get(host, path, more)).status);
    return all;
  }

  /** The latest request for a path. */
  last(path: string): IncomingMessage {
    const found = this.origin.seen.findLast(({ url }) => url?.startsWith(path));
    if (found === undefined) throw new Error(`the origin was never asked for ${path}`);
    return found;
  }
}
