/** `init`: a stack file for those who cloned the project. What is not said on the command line is asked. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { stringify } from "yaml";
import { edgeConfig, stackFileName } from "../stack-file.ts";
import { type ExitCode, note, Refusal, type World } from "../world.ts";

export interface InitOptions {
  stack?: string;
  app?: string;
  organization?: string;
  /** Codes, with commas between them. */
  regions?: string;
  host?: string;
  origin?: string;
}

const questions = {
  stack: { ask: "Name of the stack", otherwise: "prod" },
  app: { ask: "Fly app, one name for all of Fly, e.g. example-edge", otherwise: undefined },
  organization: { ask: "Fly organization, by its slug", otherwise: "personal" },
  regions: { ask: "Regions, e.g. cdg,ewr (https://fly.io/docs/reference/regions/)", otherwise: undefined },
  host: { ask: "First site, the name visitors use, e.g. www.example.org", otherwise: undefined },
  origin: { ask: "Where it is served from, e.g. https://web.tail.example:8443", otherwise: undefined },
} as const;
type Answers = Record<keyof typeof questions, string>;

export async function init(world: World, options: InitOptions): Promise<ExitCode> {
  const answers = await gather(world, options);
  const file = stackFileName(answers.stack);
  const regions = answers.regions.split(/[\s,]+/).filter(Boolean);
  const values = {
    "fly-pops:app": answers.app,
    "fly-pops:organization": answers.organization,
    "fly-pops:regions": Object.fromEntries(regions.map((code) => [code, {}])),
    "fly-pops:sites": [{ host: answers.host, origin: answers.origin, cache: {} }],
    ...(regions.length > 1 && { "fly-pops:rollout": { canary: regions[0], maxUnavailable: 1 } }),
  };
  edgeConfig(answers.stack, values);
  writeFileSync(
    join(world.dir, file),
    `# Every key: docs/config.md\n${stringify({ config: values }, { lineWidth: 0 })}`,
    {
      flag: "wx",
    },
  );
  note(
    world,
    [
      `${file} is written. Next, with a backend (PULUMI_BACKEND_URL, or npx pulumi login) and a passphrase (PULUMI_CONFIG_PASSPHRASE_FILE):`,
      `  npx pulumi stack init ${answers.stack}`,
      `  fly tokens create org ${answers.organization} | npx pulumi config set --secret fly:token --stack ${answers.stack}`,
      `  npx fly-pops doctor --stack ${answers.stack}`,
      `  npx pulumi up --stack ${answers.stack}`,
    ].join("\n"),
  );
  return 0;
}

async function gather(world: World, options: InitOptions): Promise<Answers> {
  const missing = (Object.keys(questions) as (keyof Answers)[]).filter(
    (key) => options[key] === undefined && questions[key].otherwise === undefined,
  );
  if (!world.ask && missing.length > 0)
    throw new Refusal(
      `init: ${missing.map((key) => `--${key}`).join(", ")} not given, and nobody can be asked here. Nothing was written.`,
      { code: 2 },
    );
  // The clone brings an example under the usual name.
  const free = existsSync(join(world.dir, stackFileName(questions.stack.otherwise))) ? "prod-edge" : "prod";
  const stack = options.stack ?? (world.ask ? await asked(world.ask, questions.stack.ask, free) : free);
  refuseName(world, stack);
  const answers: Partial<Answers> = { stack };
  for (const [key, { ask, otherwise }] of Object.entries(questions) as [
    keyof Answers,
    (typeof questions)[keyof Answers],
  ][])
    answers[key] ??= options[key] ?? (world.ask ? await asked(world.ask, ask, otherwise) : otherwise);
  return answers as Answers;
}

/** Before anything else is asked for. */
function refuseName(world: World, stack: string): void {
  if (!/^[A-Za-z0-9_.-]+$/.test(stack))
    throw new Refusal(
      `"${stack}" is no name for a stack: it takes letters, digits, dashes, dots and underscores. Nothing was written.`,
    );
  const file = stackFileName(stack);
  if (existsSync(join(world.dir, file)))
    throw new Refusal(`${file} is there already. Nothing was written. Edit it, or take another name: --stack NAME`);
}

/** Asked until there is an answer. */
async function asked(ask: NonNullable<World["ask"]>, question: string, otherwise: string | undefined): Promise<string> {
  for (;;) {
    const answer = (await ask(`${question}${otherwise === undefined ? "" : ` (${otherwise})`}: `)).trim();
    if (answer !== "") return answer;
    if (otherwise !== undefined) return otherwise;
  }
}
