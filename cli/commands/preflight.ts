/** `preflight`: verifies this project's assumptions about Fly with a real account, on a temporary app of its own. */
import { writeFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { Fly } from "../../fly/api.ts";
import { FlyError } from "../../fly/errors.ts";
import { stripScheme } from "../../fly/http.ts";
import { regionByCode } from "../../fly/regions.ts";
import { type FlySettings, flySettings } from "../../fly/settings.ts";
import type { App } from "../../fly/wire.ts";
import { httpTransport, type Transport } from "../../lib/http-transport.ts";
import { addRedaction, type CliContext, CliError, confirm, type ExitCode, note, print, printJson } from "../context.ts";
import type { Finding } from "../preflight/assumption.ts";
import { leftovers, removeApp } from "../preflight/cleanup.ts";
import { limitDollars, maxCost } from "../preflight/estimate.ts";
import { localEdge } from "../preflight/local-edge.ts";
import { defaultImage } from "../preflight/machine.ts";
import { createdAt, newAppName } from "../preflight/ownership.ts";
import { markdown, reportOf } from "../preflight/report.ts";
import { maxMinutes, runPreflight } from "../preflight/run.ts";
import { plural } from "../preflight/text.ts";
import { netVisitor, type Visitor, type VisitorOptions } from "../preflight/visitor.ts";
import { isLocal, openStack } from "../stack.ts";
import { styled } from "../style.ts";

export interface PreflightOptions {
  /** Takes token, endpoint, organization and region from this stack. */
  stack?: string;
  organization?: string;
  region?: string;
  image?: string;
  /** Path of the report without its extension. */
  report?: string;
  json?: boolean;
  /** Only removes leftovers of earlier runs. */
  clean?: boolean;
  yes?: boolean;
}

/** Network access, replaced in tests. */
export interface Transports {
  transport?: Transport;
  visitor?: Visitor;
  random?: () => number;
}

export async function preflight(
  context: CliContext,
  options: PreflightOptions,
  roads: Transports = {},
): Promise<ExitCode> {
  const { settings, organization, region, dial } = await resolveSettings(context, options);
  const { transport = httpTransport(), visitor = netVisitor(dial && { dial }), random = Math.random } = roads;
  const { clock } = context;
  const fly = new Fly({ ...settings, clock, random, transport });
  const left = await listLeftovers(fly, organization);
  const cost = maxCost(region, maxMinutes);
  if (cost.dollars > limitDollars)
    throw new CliError(
      `A run in ${region} could cost $${cost.dollars.toFixed(2)}, which is more than the limit of $${limitDollars.toFixed(2)}. Nothing was created. Use another region: --region iad`,
    );
  for (const { name = "" } of left)
    note(context, `Leftover of an earlier run, ${age(name, clock.now())}: app ${name} and everything in it.`);
  if (options.clean && left.length === 0) {
    note(context, `There are no leftovers of earlier runs in ${organization}.`);
    return 0;
  }
  if (!options.clean)
    note(
      context,
      `Creates a temporary app in ${organization}, in ${region}: ${cost.description}. By list prices this costs at most $${cost.dollars.toFixed(3)}. Everything is removed at the end.`,
    );
  const removing = left.length > 0 ? `Remove ${plural(left.length, "app")}` : "";
  const question = [removing, options.clean ? "" : removing ? "run" : "Run"].filter(Boolean).join(", then ");
  if (!(await confirm(context, `${question}?`, options.yes))) {
    note(context, "Nothing was done.");
    return 1;
  }
  for (const { name = "" } of left) {
    await removeApp(name, { fly, clock });
    note(context, `app ${name} removed`);
  }
  if (options.clean) return 0;

  const image = options.image ?? defaultImage;
  const app = newAppName(clock.now(), random);
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
    signal: context.interrupted,
    progress: ({ title }, findings) => {
      for (const [id, finding] of Object.entries(findings)) note(context, line(context, title, id, finding));
    },
    cleaning: () =>
      note(context, `removing app ${app} and everything in it. A second Ctrl-C leaves that to the next run`),
  });
  const report = reportOf(outcome, {
    endpoint: settings.endpoint,
    region,
    image,
    secrets: [...context.secrets, organization],
  });
  const base = resolve(context.dir, options.report ?? "fly-pops-preflight");
  writeFileSync(`${base}.json`, `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(`${base}.md`, markdown(report));
  if (options.json) printJson(context, report);
  const { counts } = report;
  const file = relative(context.dir, base);
  const summary = `${counts.holds} hold, ${counts["does not hold"]} do not, ${counts["not measured"]} could not be measured: ${file}.md, ${file}.json`;
  if (options.json) note(context, summary);
  else print(context, summary);
  if (outcome.left !== undefined) throw new CliError(outcome.left);
  if (context.interrupted.aborted) return 130;
  const broken = report.findings.some((it) => it.verdict === "does not hold" || it.broken);
  return broken || outcome.brokenOff !== undefined ? 3 : 0;
}

/** Endpoint, token, organization and region: from the command line, then the stack if given, then the environment. */
async function resolveSettings(
  context: CliContext,
  options: PreflightOptions,
): Promise<{ settings: FlySettings; organization: string; region: string; dial: VisitorOptions["dial"] }> {
  const stack = options.stack === undefined ? undefined : await openStack(context, options.stack);
  const settings = stack
    ? await stack.settings()
    : flySettings(
        () => undefined,
        (key) => context.env[key] || undefined,
      );
  addRedaction(context, settings.token);
  addRedaction(context, stripScheme(settings.token));
  const config = stack?.config();
  const region = options.region ?? config?.pops[0]?.region ?? "iad";
  if (!regionByCode(region))
    throw new CliError(
      `There is no region ${region}. Nothing was created. Region codes: https://fly.io/docs/reference/regions/`,
      {
        code: 2,
      },
    );
  const organization = options.organization ?? config?.organization ?? "personal";
  return { settings, organization, region, dial: stack && isLocal(context, stack.name) ? localEdge() : undefined };
}

/** Apps of earlier runs. A token of a single app can neither list nor create apps and fails here. */
async function listLeftovers(fly: Fly, organization: string): Promise<App[]> {
  try {
    return await leftovers(fly, organization);
  } catch (error) {
    if (!(error instanceof FlyError) || error.status !== 403) throw error;
    throw new CliError(
      `The token has no permission to list the apps of ${organization} (${error.message}). Nothing was created. Set the organization (--organization), or create a token for it: fly tokens create org ${organization}`,
      { cause: error },
    );
  }
}

function age(name: string, now: number): string {
  const minutes = Math.round((now - (createdAt(name) ?? now)) / 60_000);
  return minutes < 120 ? `${plural(minutes, "minute")} ago` : `${Math.round(minutes / 60)} hours ago`;
}

const tones = { holds: "good", "does not hold": "bad", "not measured": "warning" } as const;
const width = Math.max(...Object.keys(tones).map((it) => it.length));

const line = (context: CliContext, title: string, id: string, { verdict, seen }: Finding): string =>
  `${styled(context, tones[verdict], verdict.padEnd(width))}  ${title}, ${id}: ${seen}`;
