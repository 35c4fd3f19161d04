/** `secrets`: what an operator does with the stack's file of secrets. sops does the work; nothing of the content passes through here. */
import { join } from "node:path";
import type { EdgeConfig } from "../../config/types.ts";
import { requiredKeys } from "../../image/render/secrets.ts";
import { table } from "../../local/table.ts";
import { SopsError } from "../../providers/sops/cli.ts";
import { plainRecipient, type SopsFile } from "../../providers/sops/file.ts";
import {
  type Known,
  type PopRecipients,
  type Recipient,
  type RekeyPlan,
  recipientFaults,
  recipientsOf,
} from "../../providers/sops/recipients.ts";
import { followRekey, rulesFor } from "../../providers/sops/rules-file.ts";
import { editSecrets, readSecretsFile, rekeySecrets, secretsProblems } from "../../providers/sops/secrets-file.ts";
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
  const rows = recipientsOf(parsed, await known(world, stack, path, parsed));
  if (json) printJson(world, rows);
  else
    print(
      world,
      table([
        ["who", "kind", "recipient"].map((cell) => tint(world, "head", cell)),
        ...rows.map((row) => [tint(world, tones[row.who], nameOf(row)), row.kind, row.id]),
      ]),
    );
  return 0;
}

const tones = {
  departed: "bad",
  unknown: "warning",
  operator: undefined,
  pop: undefined,
  "other stack": undefined,
} as const;

const nameOf = ({ who, pop }: Recipient): string => (who === "departed" ? `${pop}, departed` : (pop ?? who));

export async function rekey(world: World, stack: Stack, { add, remove, pops }: RekeyOptions): Promise<ExitCode> {
  const { path, name, edge } = fileOf(world, stack);
  if (add.length === 0 && remove.length === 0 && pops === undefined)
    throw new Refusal(
      "secrets rekey: say who comes or goes: --add, --remove, --pops or --no-pops. Nothing was changed.",
      {
        code: 2,
      },
    );
  const ofPops = await popRecipients(world, stack);
  if (pops && Object.keys(ofPops).length === 0)
    throw new Refusal(
      `Stack ${stack.name}: no PoP has a key yet, deploy first (npx pulumi up --stack ${stack.name}). ${name} was not changed.`,
    );
  const rules = rulesFor(path);
  const operators = rules?.rule.recipients ?? [];
  const change = { stack: stack.name, pops: ofPops, namePops: pops, operators, add, remove };
  const done = await told(() => rekeySecrets(path, change, env(stack)));
  for (const [word, ids] of [
    ["added", done.add],
    ["removed", done.remove],
  ] as const)
    for (const id of ids) note(world, `${word} ${id}`);
  const changed = done.add.length + done.remove.length > 0;
  const left = gone(done, remove);
  const followed = rules && followRekey(rules, { add, remove: left }, { secrets: name, within: world.dir });
  if (changed)
    note(
      world,
      `${name} is rekeyed. Commit it.${left.length > 0 ? " Whoever was removed keeps what they have seen: change those secrets." : ""}`,
    );
  else note(world, `${name} names whom it is to name already. Nothing was changed.`);
  if (followed !== undefined) note(world, followed);
  const waiting = pops ? edge.pops.map((it) => it.name).filter((pop) => !(pop in ofPops)) : [];
  if (waiting.length > 0)
    note(
      world,
      `${waiting.join(", ")}: not named, for there is no key yet. Run this again after the first deployment.`,
    );
  return 0;
}

/** Who opens it no more; not who is only written anew. Asked for, but not in the file: perhaps in .sops.yaml. */
const gone = ({ add, remove }: RekeyPlan, asked: readonly string[]): string[] => {
  const comes = new Set(add.map(plainRecipient));
  return [...new Set([...remove, ...asked].map(plainRecipient))].filter((id) => !comes.has(id));
};

export async function check(world: World, stack: Stack): Promise<ExitCode> {
  const { path, name, wanted } = fileOf(world, stack);
  const { parsed } = await told(() => readSecretsFile(path));
  const { departed, unknown } = recipientFaults(recipientsOf(parsed, await known(world, stack, path, parsed)), name);
  const problems = [...secretsProblems(parsed, wanted, name), ...departed];
  for (const warning of unknown) note(world, warning);
  for (const problem of problems) print(world, problem);
  if (problems.length > 0) return 3;
  const keys = wanted.length === 0 ? "the image asks for none of it" : `it has ${wanted.join(", ")}`;
  print(world, `${name} is fit: encrypted for ${parsed.recipients.length}, ${keys}.`);
  return 0;
}

/** What its recipients are told apart by, as far as it can be known here. */
export async function known(world: World, stack: Stack, path: string, parsed: SopsFile): Promise<Known> {
  const here = { stack: stack.name, operators: rulesFor(path)?.rule.recipients ?? [] };
  // Who opens the file stands in the file; which of them are PoPs still, only the state knows. Without any there is nothing to ask it.
  if (recipientsOf(parsed, here).every(({ who }) => who === "operator")) return { ...here, pops: {} };
  try {
    return { ...here, pops: await popRecipients(world, stack) };
  } catch (error) {
    note(world, `Which of them are PoPs is not known: ${(error as Error).message}`);
    return here;
  }
}

/** `name`: as the stack file has it. */
function fileOf(world: World, stack: Stack): { path: string; name: string; wanted: string[]; edge: EdgeConfig } {
  const edge = stack.config();
  const { secretsFile, image } = edge;
  if (secretsFile === undefined)
    throw new Refusal(
      `Stack ${stack.name} has no file of secrets: its stack file has no fly-pops:secretsFile. Set it, as in ./secrets.yaml (docs/config.md).`,
    );
  return { path: join(world.dir, secretsFile), name: secretsFile, wanted: requiredKeys(image), edge };
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
