/** `npm run local`: from nothing to a page of the origin served through the edge, twice: fetched, then from the cache. */
import { type LocalPorts, lastDaemon, readDaemon } from "./daemon-file.ts";
import { type Changes, deploy } from "./deploy.ts";
import { ensureNetwork, openDocker } from "./docker-engine.ts";
import { fetchPage, type Page } from "./fetch-page.ts";
import { startOrigin } from "./homelab/origin.ts";
import { startRegistry } from "./registry/registry.ts";
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
  host?: string;
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
        [story.host] = await siteHosts();
        return undefined;
      },
    },
    {
      title: "Start the registry and the origin",
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
        await startOrigin({ docker, stack: stackLabel, network, log: say });
        return undefined;
      },
    },
    {
      title: "Start local Fly",
      run: async ({ registry = "" }) => {
        ensureToken();
        const { api } = await ensureDaemon({ registry, ports, clientRegion: from });
        return api;
      },
    },
    { title: "Deploy the stack local (pulumi up)", run: async (_, say) => summary(await deploy(say)) },
    {
      title: "Fetch a page through the edge, twice",
      run: async (story) => {
        const daemon = await readDaemon();
        if (!daemon) throw new Error("Local Fly has ended meanwhile. Its last words: npm run local -- logs");
        if (daemon.problems.length > 0) throw new Error(daemon.problems.join("\n"));
        if (!story.host) return "no site is proxied";
        story.pages = [await fetchPage(daemon.edge.https, story.host), await fetchPage(daemon.edge.https, story.host)];
        const odd = story.pages.find(({ status }) => status !== 200);
        if (odd)
          throw new Error(
            `https://${story.host}/ answers ${odd.status} through PoP ${odd.pop}. What the PoP says: npm run local -- logs ${odd.pop}`,
          );
        return undefined;
      },
    },
  ];
  const story = await runSteps(steps, { pages: [] });
  console.log(await ending(story));
}

function summary(changes: Changes): string {
  const { same: _, ...done } = changes;
  const told = Object.entries(done).map(([operation, count]) => `${count} ${operation}`);
  return told.length === 0 ? "no change" : told.join(", ");
}

async function ending({ pages, host }: Story): Promise<string> {
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
    `  curl -k --resolve ${host}:${port}:127.0.0.1 https://${host}:${port}/   a page, as a visitor sees it`,
    "  npm run local -- status                 PoPs, versions, addresses",
    "  npm run local -- logs cdg-1             what a PoP says",
    "  edit Pulumi.local.yaml, add a region under fly-pops:regions, then: npm run local",
    "  npm run -s pulumi -- preview            any Pulumi command on this stack",
    "  npm run local -- down                   and nothing is left",
  ].join("\n");
}
