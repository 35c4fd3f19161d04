/** `npm run -s preview:summary -- --stack X [--base REF]`: what a deployment would do, as Markdown for a pull request. */

import { parseArgs } from "node:util";
import type { Traffic } from "../components/cost.ts";
import { ConfigError } from "../config/mistakes.ts";
import type { EdgeConfig } from "../config/types.ts";
import { configWarnings } from "../config/warnings.ts";
import { atBase } from "./base.ts";
import { previewByEngine } from "./by-engine.ts";
import { previewByMocks } from "./by-mocks.ts";
import type { Digest } from "./digest.ts";
import { markdown } from "./markdown.ts";
import { type Plan, planOf } from "./plan.ts";
import { readEdgeConfig } from "./stack-files.ts";

const usage = `npm run -s preview:summary -- --stack STACK [--base REF | --base DIR] [--json]

Prints what \`pulumi up\` would do to the stack: PoPs in order, reasons, cost, warnings. Neither Fly's token nor Docker is needed.

  --stack STACK  which one: prod, or organization/project/prod
  --base REF     compare with a git commit's program and stack file instead of the state: nothing outside this
                 checkout is reached, so no secret is needed either. A folder does as well
  --json         the plan as JSON instead of Markdown

Exit codes: 0 the preview succeeds, 1 it fails (the summary says why), 2 it could not be run.`;

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
      json: { type: "boolean" },
      help: { type: "boolean", short: "h" },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.stack === undefined) throw new Error(`--stack is missing.\n\n${usage}`);
  const plan = await previewed(process.cwd(), values.stack, values.base);
  console.log(values.json ? JSON.stringify(plan) : markdown(plan).trimEnd());
  return plan.errors.length > 0 ? 1 : 0;
}

async function previewed(dir: string, stack: string, base: string | undefined): Promise<Plan> {
  // Pulumi Cloud's full name is organization/project/stack; files have the last part.
  const name = stack.split("/").at(-1) ?? stack;
  const { config, mistakes } = checked(dir, name);
  const common = { stack: name, config: config ?? fallback, now: Date.now() };
  if (base === undefined) return planOf({ ...common, ...(await previewByEngine({ dir, stack }, config)) });
  const digest: Digest = config
    ? await atBase(dir, base, (folder) => previewByMocks(folder, dir, name))
    : { config: {}, steps: [], diagnostics: [] };
  const diagnostics = [
    ...(mistakes === undefined ? [] : [{ severity: "error", message: mistakes }]),
    ...digest.diagnostics,
    ...(config ? configWarnings(config, name) : []).map((message) => ({ severity: "warning", message })),
  ];
  const notes = ["Compared with the base branch, not with what is deployed: this run has no access to the state."];
  return planOf({ ...common, digest: { ...digest, diagnostics }, notes });
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
