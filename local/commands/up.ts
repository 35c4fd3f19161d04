/**
 * `npm run local`: from nothing to a page over HTTPS, as soon as engine, image and PoPs are there; then, with the homelab behind them, to a page of the
 * origin at home, through edge, PoP and tailnet. Each is fetched twice: from its origin, then from the cache.
 */
import { existsSync, rmSync } from "node:fs";
import { keepWritten } from "../../lib/files.ts";
import { anycastImage } from "../anycast/anycast.ts";
import { type LocalPorts, lastDaemon } from "../daemon-file.ts";
import { rememberRegistry } from "../docker/caches.ts";
import { ensureNetwork, openDocker, orMissing } from "../docker/engine.ts";
import { takeOver } from "../homelab/handover.ts";
import { startHomelab } from "../homelab/homelab.ts";
import { homelabIsBuilt } from "../homelab/image.ts";
import { startInternet } from "../internet/internet.ts";
import { curlCommand, pageLines, type Shown, showPage } from "../page/page.ts";
import { derivedStackFile, paths } from "../paths.ts";
import { type Background, inBackground } from "../progress/background.ts";
import { expectedMs, kindOf, readTimes, rememberTime } from "../progress/estimates.ts";
import { type Clockwork, runSteps, type Step } from "../progress/tasks.ts";
import { startRegistry } from "../registry/registry.ts";
import { resolverImage, resolverTag } from "../resolver/resolver.ts";
import { defaultPorts, ensureDaemon, ensureToken, stackLabel } from "../services.ts";
import { type Changes, deploy } from "../stack/deploy.ts";
import { refreshSiteRoots } from "../stack/site-roots.ts";
import { firstStage, pageHost, siteHosts, writtenConfig } from "../stack/stack-file.ts";
import { type Stage, stagesOf } from "../stack/stages.ts";

export interface UpOptions {
  ports: Partial<LocalPorts>;
  /** Region the visitors are in. */
  from: string;
  /** False: nothing but what holds without one. */
  homelab: boolean;
}

interface Story {
  registry: string;
  /** Ends when the stack knows of it what it must. */
  homelab?: Background<void>;
  shown: Shown[];
}

const direct = {
  by: "with a certificate that the PoP ordered itself (ACME)",
  lacks: "orders its certificate",
};
const athome = {
  by: "from the origin at home, through the tailnet, with a certificate of the vault",
  lacks: "fetches its certificate from the vault",
};

export async function up({ ports: chosen, from, homelab }: UpOptions): Promise<void> {
  const docker = openDocker();
  const ports = { ...defaultPorts, ...(await lastDaemon())?.ports, ...chosen };
  // All mistakes of the stack file come out before anything is built or started.
  const whole = writtenConfig();
  const first = homelab ? firstOrNone() : firstStage();
  const stages = stagesOf({ deployed: deployed(), homelab, hasFirst: first !== undefined });
  const isFirst = stages.includes("first");
  const hasAuthority = whole.image.certificates?.acme !== undefined;
  const isHomelabBuilt = homelab && (await homelabIsBuilt(docker));
  const [directHost, homeHost] = [pageHost(whole, "acme"), pageHost(whole, "vault")];

  const startHome = (story: Story): void => {
    story.homelab ??= inBackground(async (log) => {
      const hosts = siteHosts(whole, "vault");
      await takeOver(docker, await startHomelab({ docker, stack: stackLabel, network: stackLabel, hosts, log }));
    });
  };
  const show = async (story: Story, asked: Parameters<typeof showPage>[0], say: (line: string) => void) => {
    await refreshSiteRoots(docker, stackLabel);
    story.shown.push(await showPage(asked, say));
  };

  const common: Step<Story>[] = [
    {
      key: "services",
      title: `Start the registry, ${hasAuthority ? "an authority, an origin, " : ""}local Fly's images`,
      run: async (story, say) => {
        await ensureNetwork(docker, stackLabel, stackLabel);
        // What is not compiled starts in the meantime; what is, waits until the PoPs' image is there.
        if (homelab && (!isFirst || isHomelabBuilt)) startHome(story);
        const registry = startRegistry({
          docker,
          stack: stackLabel,
          port: ports.registry,
          log: say,
          portAdvice: `Choose another: npm run local -- --registry-port ${ports.registry + 1}`,
        });
        const [{ address }] = await Promise.all([
          registry,
          hasAuthority && startInternet({ docker, stack: stackLabel, network: stackLabel, log: say }),
          anycastImage(docker, say),
          // Here, where it is seen, and no machine waits for it. If it fails, the daemon says what machines go without.
          resolverImage(docker, say).catch(() => undefined),
        ]);
        story.registry = address;
        rememberRegistry(address);
        return undefined;
      },
    },
    {
      key: "fly",
      title: "Start local Fly",
      run: async ({ registry }) => {
        ensureToken();
        const { api } = await ensureDaemon({ registry, ports, clientRegion: from });
        return api;
      },
    },
  ];

  const firstSteps: Step<Story>[] = [
    {
      key: "deploy",
      title: `Deploy the stack local${homelab ? " without the homelab" : ""} (pulumi up)`,
      run: async (story, say) => {
        keepWritten(paths.firstStage, first ?? "");
        const imageIsThere = () => {
          if (homelab) startHome(story);
        };
        return summary(await deploy(say, imageIsThere));
      },
    },
    {
      key: "page",
      title: "First page, over HTTPS, twice",
      milestone: "first page",
      run: async (story, say) => {
        if (directHost === undefined) return "no site is proxied";
        await show(story, { host: directHost, ...direct }, say);
        return undefined;
      },
      result: ({ shown }) => shown.slice(0, 1).flatMap((it) => [...pageLines(it), curlCommand(it)]),
    },
  ];

  const homeSteps: Step<Story>[] = [
    {
      key: "homelab",
      title: "Start the homelab: tailnet, vault, certificates, origin",
      run: async (story, say) => {
        startHome(story);
        await story.homelab?.wait(say);
        return undefined;
      },
    },
    {
      key: isFirst ? "redeploy" : "deploy",
      title: `Deploy the stack local${isFirst ? " once more, with tailnet and vault" : ""} (pulumi up)`,
      run: async (_, say) => {
        rmSync(paths.firstStage, { force: true });
        return summary(await deploy(say));
      },
    },
    {
      key: "home",
      title: `${isFirst ? "Second page" : "Pages"} through the edge, twice`,
      milestone: "everything",
      run: async (story, say) => {
        if (!isFirst && directHost !== undefined) await show(story, { host: directHost, ...direct }, say);
        if (homeHost === undefined) return "no site is proxied";
        await show(story, { host: homeHost, ...athome }, say);
        return undefined;
      },
    },
  ];

  const steps = [...common, ...(isFirst ? firstSteps : []), ...(homelab ? homeSteps : [])];
  const story = await runSteps(steps, { registry: "", shown: [] }, await clockwork());
  console.log(ending(story.shown, homelab));

  async function clockwork(): Promise<Clockwork> {
    const kind = kindOf({
      services: (await orMissing(docker.getImage(resolverTag).inspect())) !== undefined,
      homelab: homelab ? isHomelabBuilt : "not asked for",
      deployed: deployed() === stages.at(-1),
    });
    const times = readTimes();
    return {
      expectedMs: (step) => expectedMs(times, kind, step),
      took: (step, ms) => rememberTime(kind, step, ms),
    };
  }
}

/** With a homelab to come, a stack file that does not hold without it has no first page, and needs none. */
function firstOrNone(): ReturnType<typeof firstStage> {
  try {
    return firstStage();
  } catch {
    return undefined;
  }
}

/** What the PoPs run, or were about to when a run was interrupted. */
function deployed(): "nothing" | Stage {
  if (!existsSync(paths.state)) return "nothing";
  return derivedStackFile() ? "first" : "homelab";
}

function summary(changes: Changes): string {
  const { same: _, ...done } = changes;
  const counts = Object.entries(done).map(([operation, count]) => `${count} ${operation}`);
  return counts.length === 0 ? "no change" : counts.join(", ");
}

function ending(shown: readonly Shown[], homelab: boolean): string {
  return [
    ...shown.flatMap((it) => ["", ...pageLines(it)]),
    "",
    "What to try next:",
    ...shown.map((it) => `  ${curlCommand(it)}`),
    "  npm run local -- status                 PoPs, versions, addresses; --open: a page with a map",
    "  npm run local -- logs cdg-1             what a PoP says",
    `  edit Pulumi.local.yaml, add a region under fly-pops:regions, then: npm run local${homelab ? "" : " -- --no-homelab"}`,
    "  npm run -s pulumi -- preview            any Pulumi command on this stack",
    ...(homelab
      ? []
      : ["  npm run local                           goes on: tailnet, vault and an origin at home behind the PoPs"]),
    "  npm run local -- down                   and nothing is left",
  ].join("\n");
}
