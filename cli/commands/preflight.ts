/** `preflight`: what this project assumes about Fly, measured once with a real account on an app of its own. */
import { writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { Fly } from "../../providers/fly/api.ts";
import { FlyError } from "../../providers/fly/errors.ts";
import { stripScheme } from "../../providers/fly/http.ts";
import { regionByCode } from "../../providers/fly/regions.ts";
import type { App } from "../../providers/fly/wire.ts";
import { httpTransport, type Transport } from "../../providers/http-transport.ts";
import { type FlySettings, flySettings } from "../../providers/settings.ts";
import type { Finding } from "../preflight/assumption.ts";
import { leftovers, removeApp } from "../preflight/cleanup.ts";
import { limitDollars, most } from "../preflight/estimate.ts";
import { localEdge } from "../preflight/local-edge.ts";
import { defaultImage } from "../preflight/machine.ts";
import { madeAt, newName } from "../preflight/marks.ts";
import { markdown, reportOf } from "../preflight/report.ts";
import { longestMinutes, runPreflight } from "../preflight/run.ts";
import { netVisitor, type Visitor, type VisitorOptions } from "../preflight/visitor.ts";
import { plural } from "../preflight/words.ts";
import { isLocal, openStack } from "../stack.ts";
import { tint } from "../style.ts";
import { confirmed, type ExitCode, keepSecret, note, print, printJson, Refusal, type World } from "../world.ts";

export interface PreflightOptions {
  /** Takes token, endpoint, organization and region from this stack. */
  stack?: string;
  organization?: string;
  region?: string;
  image?: string;
  /** Path of the report without its extension. */
  report?: string;
  json?: boolean;
  /** Only removes what earlier runs have left. */
  clean?: boolean;
  yes?: boolean;
}

/** Roads to the outside, for tests. */
export interface Roads {
  transport?: Transport;
  visitor?: Visitor;
  random?: () => number;
}

export async function preflight(world: World, options: PreflightOptions, roads: Roads = {}): Promise<ExitCode> {
  const { settings, organization, region, dial } = await where(world, options);
  const { transport = httpTransport(), visitor = netVisitor(dial && { dial }), random = Math.random } = roads;
  const { clock } = world;
  const fly = new Fly({ ...settings, clock, random, transport });
  const left = await leftBehind(fly, organization);
  const cost = most(region, longestMinutes);
  if (cost.dollars > limitDollars)
    throw new Refusal(
      `A run in ${region} could cost $${cost.dollars.toFixed(2)}, more than the $${limitDollars.toFixed(2)} it is meant to cost at most. Nothing was made. Take another region: --region iad`,
    );
  for (const { name = "" } of left)
    note(world, `Left by an earlier run, ${age(name, clock.now())}: app ${name} and all that is in it.`);
  if (options.clean && left.length === 0) {
    note(world, `No earlier run has left anything in ${organization}.`);
    return 0;
  }
  if (!options.clean)
    note(
      world,
      `Makes an app of its own in ${organization}, in ${region}: ${cost.told}. By list price that is at most $${cost.dollars.toFixed(3)}; all of it is removed at the end.`,
    );
  const removing = left.length > 0 ? `Remove ${plural(left.length, "app")}` : "";
  const question = [removing, options.clean ? "" : removing ? "run" : "Run"].filter(Boolean).join(", then ");
  if (!(await confirmed(world, `${question}?`, options.yes))) {
    note(world, "Nothing was done.");
    return 1;
  }
  for (const { name = "" } of left) {
    await removeApp(name, { fly, clock });
    note(world, `app ${name} removed`);
  }
  if (options.clean) return 0;

  const image = options.image ?? defaultImage;
  const app = newName(clock.now(), random);
  const outcome = await runPreflight({
    ...settings,
    app,
    organization,
    region,
    image,
    clock,
    random,
    transport,
    visitor,
    signal: world.interrupted,
    progress: ({ title }, findings) => {
      for (const [id, finding] of Object.entries(findings)) note(world, line(world, title, id, finding));
    },
    cleaning: () =>
      note(world, `removing app ${app} with all that is in it; a second Ctrl-C would leave that to the next run`),
  });
  const report = reportOf(outcome, {
    endpoint: settings.endpoint,
    region,
    image,
    secrets: [...world.secrets, organization],
  });
  const base = resolve(world.dir, options.report ?? "fly-pops-preflight");
  writeFileSync(`${base}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${base}.md`, markdown(report));
  if (options.json) printJson(world, report);
  const { counts } = report;
  const file = relative(world.dir, base);
  const told = `${counts.holds} hold, ${counts["does not hold"]} do not, ${counts["not measured"]} could not be measured: ${file}.md, ${file}.json`;
  if (options.json) note(world, told);
  else print(world, told);
  if (outcome.left !== undefined) throw new Refusal(outcome.left);
  if (world.interrupted.aborted) return 130;
  const broken = report.findings.some((it) => it.verdict === "does not hold" || it.broken);
  return broken || outcome.brokenOff !== undefined ? 3 : 0;
}

/** How Fly is reached and where the probes go: the command line, then the stack if one is named, then the environment. */
async function where(
  world: World,
  options: PreflightOptions,
): Promise<{ settings: FlySettings; organization: string; region: string; dial: VisitorOptions["dial"] }> {
  const stack = options.stack === undefined ? undefined : await openStack(world, options.stack);
  const settings = stack
    ? await stack.settings()
    : flySettings(
        () => undefined,
        (key) => world.env[key] || undefined,
      );
  keepSecret(world, settings.token);
  keepSecret(world, stripScheme(settings.token));
  const config = stack?.config();
  const region = options.region ?? config?.pops[0]?.region ?? "iad";
  if (!regionByCode(region))
    throw new Refusal(`There is no region ${region}. Nothing was made. Codes: https://fly.io/docs/reference/regions/`, {
      code: 2,
    });
  const organization = options.organization ?? config?.organization ?? "personal";
  return { settings, organization, region, dial: stack && isLocal(world, stack.name) ? localEdge() : undefined };
}

/** Apps of earlier runs. An app's own token can neither list nor make apps, and is refused here. */
async function leftBehind(fly: Fly, organization: string): Promise<App[]> {
  try {
    return await leftovers(fly, organization);
  } catch (error) {
    if (!(error instanceof FlyError) || error.status !== 403) throw error;
    throw new Refusal(
      `The token may not list the apps of ${organization} (${error.message}). Nothing was made. Name the organization (--organization), or make a token for it: fly tokens create org ${organization}`,
      { cause: error },
    );
  }
}

function age(name: string, now: number): string {
  const minutes = Math.round((now - (madeAt(name) ?? now)) / 60_000);
  return minutes < 120 ? `${plural(minutes, "minute")} ago` : `${Math.round(minutes / 60)} hours ago`;
}

const tones = { holds: "good", "does not hold": "bad", "not measured": "warning" } as const;
const width = Math.max(...Object.keys(tones).map((it) => it.length));

const line = (world: World, title: string, id: string, { verdict, seen }: Finding): string =>
  `${tint(world, tones[verdict], verdict.padEnd(width))}  ${title}, ${id}: ${seen}`;
