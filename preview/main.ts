/** `npm run -s preview:summary -- --stack X [--base REF]`: what a deployment would do, as Markdown for a pull request. */

import { estimate, type Traffic, trafficOf } from "../components/cost.ts";
import { ConfigError } from "../config/issues.ts";
import type { EdgeConfig } from "../config/types.ts";
import { configWarnings } from "../config/warnings.ts";
import { renderedFiles } from "../image/context.ts";
import { allSites, namesOf } from "../image/render/hosts.ts";
import { relativeStackFile } from "../lib/stack-file-path.ts";
import { optionsOf } from "../setup/options.mjs";
import { withBaseCheckout } from "./base-checkout.ts";
import type { Before } from "./before.ts";
import { previewByEngine } from "./engine-preview.ts";
import { type FileChange, fileChanges, renderedAt } from "./files.ts";
import { markdown, previewFailed } from "./markdown.ts";
import { previewByMocks } from "./mock-preview.ts";
import { type Plan, type PlanInput, planOf } from "./plan.ts";
import { policyViolations } from "./policies.ts";
import { changesOf } from "./resource-change.ts";
import { envOfCheckouts, readEdgeConfig } from "./stack-files.ts";

const usage = `npm run -s preview:summary -- --stack STACK [--base REF | --base DIR] [--files REF] [--policies] [--json]

Prints what \`pulumi up\` would do to the stack: PoPs with reasons, changed files of the image, cost, warnings. Needs neither Fly's token nor Docker.

  --stack STACK  the stack: prod, or organization/project/prod
  --base REF     compare with a git commit's program and stack file instead of the state: nothing outside this
                 checkout is reached, so no secret is needed either. A directory works as well
  --files REF    compare with the state, and the files of the image with those that a git commit renders
  --policies     also check the policies (policy/policies.ts)
  --json         the plan as JSON instead of Markdown

Exit codes: 0 the preview succeeds, 1 it fails or a policy rejects it (the summary says why), 2 it could not run (the summary says so).`;

const options = {
  stack: { type: "string" },
  base: { type: "string" },
  files: { type: "string" },
  policies: { type: "boolean" },
  json: { type: "boolean" },
  help: { type: "boolean", short: "h" },
} as const;

const fallback: Pick<EdgeConfig, "rollout"> & Traffic = {
  rollout: { maxUnavailable: 1, drainSeconds: 0, timeoutSeconds: 0 },
  egressGb: 0,
  crawlers: 0,
};

async function main(argv: string[]): Promise<number> {
  const { values } = optionsOf(argv, options, {
    alone: { base: ["compares the files as well", "stack", "policies", "json", "help"] },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.stack === undefined) throw new Error(`--stack is missing.\n\n${usage}`);
  const { stack, base, files, policies = false, json } = values;
  // Programs of other commits run below this process.
  Object.assign(process.env, envOfCheckouts(process.cwd(), process.env));
  try {
    const plan = await createPlan(process.cwd(), stack, { base, files, policies });
    console.log(json ? JSON.stringify(plan) : markdown(plan).trimEnd());
    return plan.errors.length > 0 || plan.refusals.length > 0 ? 1 : 0;
  } catch (error) {
    // Print the error in place of the plan. Otherwise an older comment would stay and look current.
    const { message } = error as Error;
    console.log(json ? JSON.stringify({ stack, error: message }) : previewFailed(stack, message).trimEnd());
    return 2;
  }
}

interface PreviewOptions {
  base: string | undefined;
  files: string | undefined;
  policies: boolean;
}

async function createPlan(dir: string, stack: string, { base, files, policies }: PreviewOptions): Promise<Plan> {
  // Pulumi Cloud's full name is organization/project/stack; file names contain the last part.
  const name = stack.split("/").at(-1) ?? stack;
  const { config, errors } = readConfig(dir, name);
  const seen =
    base === undefined
      ? { ...(await previewByEngine({ dir, stack }, config)), ...(await compareFiles(dir, name, config, files)) }
      : await previewAgainstBase(dir, name, base, config, errors);
  return planOf({
    ...seen,
    stack: name,
    config: config ?? fallback,
    hosts: config ? allSites(config.image).flatMap(namesOf) : [],
    ...(config && { wanted: estimate(config) }),
    ...(policies && {
      refusals: policyViolations(changesOf(seen.digest.steps), { project: dir, production: config?.production }),
    }),
    now: Date.now(),
  });
}

type StackPreview = Pick<PlanInput, "digest" | "before" | "files"> & { notes: string[] };

/** Against the program and the stack file of another commit. */
async function previewAgainstBase(
  dir: string,
  stack: string,
  base: string,
  config: EdgeConfig | undefined,
  errors: string | undefined,
): Promise<StackPreview> {
  if (config === undefined) {
    const diagnostics = [{ severity: "error", message: errors ?? "" }];
    return { digest: { config: {}, steps: [], diagnostics }, notes: [] };
  }
  return withBaseCheckout(dir, base, async (baseDir) => {
    const digest = await previewByMocks(baseDir, dir, stack);
    const warnings = configWarnings(config, stack).map((message) => ({ severity: "warning", message }));
    const { files, notes = [] } = await compareFiles(dir, stack, config, baseDir);
    return {
      digest: { ...digest, diagnostics: [...digest.diagnostics, ...warnings] },
      before: beforeAt(baseDir, stack),
      ...(files && { files }),
      notes: [
        "Compared with the base branch, not with the deployed stack, because this run has no access to the state.",
        ...notes,
      ],
    };
  });
}

/** Traffic and canary in a checkout's stack file. Empty if there is no file, or if today's rules reject it. */
function beforeAt(dir: string, stack: string): Before {
  try {
    const { rollout, ...config } = readEdgeConfig(dir, stack, process.env);
    return { traffic: trafficOf(config), canary: rollout.canary ?? null };
  } catch {
    return {};
  }
}

/** For an image that is built here. If the files cannot be compared, the plan gets a note. */
async function compareFiles(
  dir: string,
  stack: string,
  config: EdgeConfig | undefined,
  ref: string | undefined,
): Promise<{ files?: FileChange[]; notes?: string[] }> {
  if (config === undefined || config.imageRef !== undefined || ref === undefined) return {};
  try {
    const before = await withBaseCheckout(dir, ref, (baseDir) => renderedAt(baseDir, stack));
    return { files: fileChanges(before, renderedFiles(config.image)) };
  } catch (error) {
    return { notes: [`Could not compare the image's files: ${(error as Error).message.split("\n")[0]}`] };
  }
}

/** The configuration, or all errors in it. */
function readConfig(dir: string, stack: string): { config?: EdgeConfig; errors?: string } {
  try {
    return { config: readEdgeConfig(dir, stack, process.env) };
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return { errors: `${relativeStackFile(dir, stack, process.env)}: ${error.message}` };
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error((error as Error).message);
  process.exitCode = 2;
}
