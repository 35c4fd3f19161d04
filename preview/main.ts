/** `npm run -s preview:summary -- --stack X [--base REF]`: what a deployment would do, as Markdown for a pull request. */

import { parseArgs } from "node:util";
import { estimate, type Traffic, trafficOf } from "../components/cost.ts";
import { ConfigError } from "../config/mistakes.ts";
import type { EdgeConfig } from "../config/types.ts";
import { configWarnings } from "../config/warnings.ts";
import { renderedFiles } from "../image/context.ts";
import { allSites, namesOf } from "../image/render/hosts.ts";
import { atBase } from "./base.ts";
import type { Before } from "./before.ts";
import { previewByEngine } from "./by-engine.ts";
import { previewByMocks } from "./by-mocks.ts";
import { type FileChange, fileChanges, renderedAt } from "./files.ts";
import { markdown, notRun } from "./markdown.ts";
import { changesOf, type Plan, type PlanInput, planOf } from "./plan.ts";
import { refusalsOf } from "./policies.ts";
import { readEdgeConfig } from "./stack-files.ts";

const usage = `npm run -s preview:summary -- --stack STACK [--base REF | --base DIR] [--files REF] [--policies] [--json]

Prints what \`pulumi up\` would do to the stack: PoPs, reasons, files of the image that change, cost, warnings. Neither Fly's token nor Docker is needed.

  --stack STACK  which one: prod, or organization/project/prod
  --base REF     compare with a git commit's program and stack file instead of the state: nothing outside this
                 checkout is reached, so no secret is needed either. A folder does as well
  --files REF    compare with the state, and the files of the image with those that a git commit renders
  --policies     what the policies refuse as well (policy/policies.ts)
  --json         the plan as JSON instead of Markdown

Exit codes: 0 the preview succeeds, 1 it fails or a policy refuses it (the summary says why), 2 it could not be run (it says that).`;

const fallback: Pick<EdgeConfig, "rollout"> & Traffic = {
  rollout: { maxUnavailable: 1, drainSeconds: 0, timeoutSeconds: 0 },
  egressGb: 0,
  crawlers: 0,
};

async function main(argv: string[]): Promise<number> {
  const { values } = parseArgs({
    args: argv,
    options: {
      stack: { type: "string" },
      base: { type: "string" },
      files: { type: "string" },
      policies: { type: "boolean", default: false },
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.stack === undefined) throw new Error(`--stack is missing.\n\n${usage}`);
  const { stack, base, files, policies, json } = values;
  try {
    const plan = await previewed(process.cwd(), stack, { base, files, policies });
    console.log(json ? JSON.stringify(plan) : markdown(plan).trimEnd());
    return plan.errors.length > 0 || plan.refusals.length > 0 ? 1 : 0;
  } catch (error) {
    // Said where the plan would stand: a comment that says nothing would leave an older one as if it were true.
    const { message } = error as Error;
    console.log(json ? JSON.stringify({ stack, error: message }) : notRun(stack, message).trimEnd());
    return 2;
  }
}

interface Asked {
  base: string | undefined;
  files: string | undefined;
  policies: boolean;
}

async function previewed(dir: string, stack: string, { base, files, policies }: Asked): Promise<Plan> {
  // Pulumi Cloud's full name is organization/project/stack; files have the last part.
  const name = stack.split("/").at(-1) ?? stack;
  const { config, mistakes } = checked(dir, name);
  const seen =
    base === undefined
      ? { ...(await previewByEngine({ dir, stack }, config)), ...(await comparedFiles(dir, name, config, files)) }
      : await withoutState(dir, name, base, config, mistakes);
  return planOf({
    ...seen,
    stack: name,
    config: config ?? fallback,
    hosts: config ? allSites(config.image).flatMap(namesOf) : [],
    ...(config && { wanted: estimate(config) }),
    ...(policies && {
      refusals: refusalsOf(changesOf(seen.digest.steps), { project: dir, production: config?.production }),
    }),
    now: Date.now(),
  });
}

type Seen = Pick<PlanInput, "digest" | "before" | "files"> & { notes: string[] };

/** Against the program and the stack file of another commit. */
async function withoutState(
  dir: string,
  stack: string,
  base: string,
  config: EdgeConfig | undefined,
  mistakes: string | undefined,
): Promise<Seen> {
  if (config === undefined) {
    const diagnostics = [{ severity: "error", message: mistakes ?? "" }];
    return { digest: { config: {}, steps: [], diagnostics }, notes: [] };
  }
  return atBase(dir, base, async (folder) => {
    const digest = await previewByMocks(folder, dir, stack);
    const warnings = configWarnings(config, stack).map((message) => ({ severity: "warning", message }));
    const { files, notes = [] } = await comparedFiles(dir, stack, config, folder);
    return {
      digest: { ...digest, diagnostics: [...digest.diagnostics, ...warnings] },
      before: beforeAt(folder, stack),
      ...(files && { files }),
      notes: [
        "Compared with the base branch, not with what is deployed: this run has no access to the state.",
        ...notes,
      ],
    };
  });
}

/** What the stack file of a checkout says of the bill and the canary. Nothing where it has none, or one that today's rules refuse. */
function beforeAt(dir: string, stack: string): Before {
  try {
    const { rollout, ...config } = readEdgeConfig(dir, stack);
    return { traffic: trafficOf(config), canary: rollout.canary ?? null };
  } catch {
    return {};
  }
}

/** Of an image that is built here. What cannot be compared is a note: the plan is worth having without. */
async function comparedFiles(
  dir: string,
  stack: string,
  config: EdgeConfig | undefined,
  ref: string | undefined,
): Promise<{ files?: FileChange[]; notes?: string[] }> {
  if (config === undefined || config.imageRef !== undefined || ref === undefined) return {};
  try {
    const before = await atBase(dir, ref, (folder) => renderedAt(folder, stack));
    return { files: fileChanges(before, renderedFiles(config.image)) };
  } catch (error) {
    return { notes: [`The files of the image could not be compared: ${(error as Error).message.split("\n")[0]}`] };
  }
}

/** The configuration, or all that is wrong with it. */
function checked(dir: string, stack: string): { config?: EdgeConfig; mistakes?: string } {
  try {
    return { config: readEdgeConfig(dir, stack) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { mistakes: `Pulumi.${stack}.yaml: ${error.message}` };
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}
