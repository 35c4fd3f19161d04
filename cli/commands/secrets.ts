/** `secrets`: what an operator does with the stack's file of secrets. sops does the work; nothing of the content passes through here. */
import { join } from "node:path";
import { wantedKeys } from "../../image/render/secrets.ts";
import { table } from "../../local/table.ts";
import { SopsError } from "../../providers/sops/cli.ts";
import { plainRecipient } from "../../providers/sops/file.ts";
import {
  editSecrets,
  type PopRecipients,
  readSecretsFile,
  recipientsOf,
  rekeySecrets,
  secretsProblems,
} from "../../providers/sops/operator.ts";
import { askPulumi } from "../pulumi.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, note, print, printJson, Refusal, type World } from "../world.ts";

export interface RekeyOptions {
  add: string[];
  remove: string[];
  /** True: the stack's PoPs; false: none; absent: those the file names stay. */
  pops?: boolean;
}

export async function edit(world: World, stack: Stack): Promise<ExitCode> {
  const { path, name } = fileOf(world, stack);
  const end = await told(() => editSecrets(path, env(stack)));
  note(
    world,
    end === "changed" ? `${name} is changed. Commit it, then deploy: npx pulumi up` : `${name} is as it was.`,
  );
  return 0;
}

export async function showRecipients(world: World, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const { path } = fileOf(world, stack);
  const { parsed } = await told(() => readSecretsFile(path));
  const pops = await popRecipients(world, stack).catch((error: unknown) => {
    // Who opens the file stands in the file; which of them are PoPs, only the stack knows.
    note(world, `Which of them are PoPs is not known: ${(error as Error).message}`);
    return {};
  });
  const rows = recipientsOf(parsed, pops);
  if (json) printJson(world, rows);
  else
    print(
      world,
      table([
        ["who", "kind", "recipient"].map((cell) => tint(world, "head", cell)),
        ...rows.map(({ kind, id, pop }) => [pop ?? "operator", kind, id]),
      ]),
    );
  return 0;
}

export async function rekey(world: World, stack: Stack, { add, remove, pops }: RekeyOptions): Promise<ExitCode> {
  const { path, name } = fileOf(world, stack);
  if (add.length === 0 && remove.length === 0 && pops === undefined)
    throw new Refusal(
      "secrets rekey: say who comes or goes: --add, --remove, --pops or --no-pops. Nothing was changed.",
      {
        code: 2,
      },
    );
  const known = await popRecipients(world, stack);
  const now = recipientsOf((await told(() => readSecretsFile(path))).parsed, known);
  const leaving = new Set(remove.map(plainRecipient));
  const staying = now.filter(
    ({ kind, pop, id }) => kind === "age" && pop === undefined && !leaving.has(plainRecipient(id)),
  );
  const change = {
    pops: known,
    namePops: pops ?? now.some(({ pop }) => pop !== undefined),
    operators: [...staying.map(({ id }) => id), ...add],
  };
  const done = await told(() => rekeySecrets(path, change, env(stack)));
  for (const [word, ids] of [
    ["added", done.add],
    ["removed", done.remove],
  ] as const)
    for (const id of ids) note(world, `${word} ${id}`);
  const changed = done.add.length + done.remove.length > 0;
  note(
    world,
    changed ? `${name} is rekeyed. Commit it.` : `${name} names whom it is to name already. Nothing was changed.`,
  );
  return 0;
}

export async function check(world: World, stack: Stack): Promise<ExitCode> {
  const { path, name, wanted } = fileOf(world, stack);
  const { parsed } = await told(() => readSecretsFile(path));
  const problems = secretsProblems(parsed, wanted, name);
  for (const problem of problems) print(world, problem);
  if (problems.length > 0) return 3;
  const keys = wanted.length === 0 ? "the image asks for none of it" : `it has ${wanted.join(", ")}`;
  print(world, `${name} is fit: encrypted for ${parsed.recipients.length}, ${keys}.`);
  return 0;
}

/** `name`: as the stack file has it. */
function fileOf(world: World, stack: Stack): { path: string; name: string; wanted: string[] } {
  const { secretsFile, image } = stack.config();
  if (secretsFile === undefined)
    throw new Refusal(
      `Stack ${stack.name} has no file of secrets: its stack file has no fly-pops:secretsFile. Set it, as in ./secrets.yaml (docs/config.md).`,
    );
  return { path: join(world.dir, secretsFile), name: secretsFile, wanted: wantedKeys(image) };
}

async function popRecipients(world: World, stack: Stack): Promise<PopRecipients> {
  const doing = `${stack.name}: what its PoPs' secrets are sealed to could not be read`;
  const text = await askPulumi(world, doing, ["stack", "output", "--json", "--stack", stack.reference], stack.env);
  return (JSON.parse(text) as { recipients?: PopRecipients }).recipients ?? {};
}

const env = (stack: Stack): NodeJS.ProcessEnv => ({ ...stack.env }) as NodeJS.ProcessEnv;

async function told<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SopsError ? new Refusal(error.message, { cause: error }) : error;
  }
}
