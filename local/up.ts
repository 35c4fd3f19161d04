/** `npm run local`: from nothing to a page of the origin at home, through edge, PoP and tailnet, twice: fetched, then from the cache. */
import { readFile } from "node:fs/promises";
import { relative } from "node:path";
import { setTimeout } from "node:timers/promises";
import { type LocalPorts, lastDaemon, readDaemon } from "./daemon-file.ts";
import { type Changes, deploy } from "./deploy.ts";
import { ensureNetwork, openDocker } from "./docker-engine.ts";
import { fetchPage, type Page } from "./fetch-page.ts";
import { takeOver } from "./homelab/handover.ts";
import { startHomelab } from "./homelab/homelab.ts";
import { paths } from "./paths.ts";
import { startRegistry } from "./registry/registry.ts";
import { resolverImage } from "./resolver/resolver.ts";
import { defaultPorts, ensureDaemon, ensureToken, network, stackLabel } from "./services.ts";
import { siteHosts } from "./stack-file.ts";
import { runSteps, type Step } from "./tasks.ts";

export interface UpOptions {
  ports: Partial<LocalPorts>;
  /** Region the visitors are in. */
  from: string;
}

interface Story {
  registry?: string;
  /** Of all sites, the proxied and cached ones first. */
  hosts: string[];
  pages: Page[];
}

export async function up({ ports: chosen, from }: UpOptions): Promise<void> {
  const docker = openDocker();
  const ports = { ...defaultPorts, ...(await lastDaemon())?.ports, ...chosen };

  const steps: Step<Story>[] = [
    {
      title: "Read Pulumi.local.yaml",
      // All its mistakes come out before anything is built or started.
      run: async (story) => {
        story.hosts = await siteHosts();
        return undefined;
      },
    },
    {
      title: "Start the registry",
      run: async (story, say) => {
        await ensureNetwork(docker, stackLabel, network);
        const { address } = await startRegistry({
          docker,
          stack: stackLabel,
          port: ports.registry,
          log: say,
          portAdvice: `Choose another: npm run local -- --registry-port ${ports.registry + 1}`,
        });
        story.registry = address;
        return undefined;
      },
    },
    {
      title: "Start the homelab: tailnet, vault, certificates, origin",
      run: async ({ hosts }, say) => {
        await takeOver(docker, await startHomelab({ docker, stack: stackLabel, network, hosts, log: say }));
        return undefined;
      },
    },
    {
      title: "Start local Fly",
      run: async ({ registry = "" }, say) => {
        ensureToken();
        // Here, where it is seen, and no machine waits for it. If it fails, the daemon says what machines go without.
        await resolverImage(docker, say).catch(() => undefined);
        const { api } = await ensureDaemon({ registry, ports, clientRegion: from });
        return api;
      },
    },
    { title: "Deploy the stack local (pulumi up)", run: async (_, say) => summary(await deploy(say)) },
    {
      title: "Fetch a page through the edge, twice",
      run: async (story, say) => {
        const daemon = await readDaemon();
        if (!daemon) throw new Error("Local Fly has ended meanwhile. Its last words: npm run local -- logs");
        if (daemon.problems.length > 0) throw new Error(daemon.problems.join("\n"));
        const [host] = story.hosts;
        if (!host) return "no site is proxied";
        const ca = await readFile(paths.home.siteRoots, "utf8");
        story.pages = [await firstPage(daemon.edge.https, host, ca, say), await fetchPage(daemon.edge.https, host, ca)];
        return undefined;
      },
    },
  ];
  const story = await runSteps(steps, { hosts: [], pages: [] });
  console.log(await ending(story));
}

/** New PoPs serve at once, with a certificate of their own; that of the vault and the way to the origin come with the tailnet, seconds later. */
const joiningMs = 90_000;

async function firstPage(edge: string, host: string, ca: string, say: (line: string) => void): Promise<Page> {
  const deadline = Date.now() + joiningMs;
  let told = "";
  for (;;) {
    const page = await fetchPage(edge, host, ca).catch((error: Error) => error);
    if (!(page instanceof Error) && page.status === 200) return page;
    const seen = page instanceof Error ? page.message : `HTTP ${page.status} from ${page.pop}`;
    if (Date.now() > deadline)
      throw new Error(
        `https://${host}/ is not served after ${joiningMs / 1000} s: ${seen}. What local Fly and its PoPs say: npm run local -- logs`,
      );
    // Node's words for a certificate that the PoP signed itself are advice of another kind.
    const waiting = /certificate/.test(seen) ? "the PoP still fetches its certificate from the vault" : seen;
    if (waiting !== told) say(`waiting: ${waiting}`);
    told = waiting;
    await setTimeout(500);
  }
}

function summary(changes: Changes): string {
  const { same: _, ...done } = changes;
  const told = Object.entries(done).map(([operation, count]) => `${count} ${operation}`);
  return told.length === 0 ? "no change" : told.join(", ");
}

async function ending({ pages, hosts: [host] }: Story): Promise<string> {
  const daemon = await readDaemon();
  const https = daemon?.edge.https ?? "";
  const port = https.split(":").at(-1);
  const rows = pages.map(
    ({ status, cache, pop, milliseconds }) => `  HTTP ${status}  ${cache.padEnd(5)} from ${pop} in ${milliseconds} ms`,
  );
  return [
    "",
    `https://${host}/ through the edge at ${https}:`,
    ...rows,
    "",
    "What to try next:",
    `  curl --cacert ${relative(process.cwd(), paths.home.siteRoots)} --resolve ${host}:${port}:127.0.0.1 https://${host}:${port}/`,
    "  npm run local -- status                 PoPs, versions, addresses; --open: a page with a map",
    "  npm run local -- logs cdg-1             what a PoP says",
    "  edit Pulumi.local.yaml, add a region under fly-pops:regions, then: npm run local",
    "  npm run -s pulumi -- preview            any Pulumi command on this stack",
    "  npm run local -- down                   and nothing is left",
  ].join("\n");
}
