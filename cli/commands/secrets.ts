/** `secrets`: manages the stack's secrets file. sops does the work, so plain texts never pass through here. */
import { join } from "node:path";
import type { EdgeConfig } from "../../config/types.ts";
import { requiredKeys } from "../../image/render/secrets.ts";
import { table } from "../../lib/table.ts";
import { SopsError } from "../../sops/cli.ts";
import { plainRecipient } from "../../sops/file.ts";
import { type Recipient, type RekeyPlan, recipientFaults, recipientsOf } from "../../sops/recipients.ts";
import { followRekey, rulesFor } from "../../sops/rules-file.ts";
import { editSecrets, readSecretsFile, rekeySecrets, secretsProblems } from "../../sops/secrets-file.ts";
import { type CliContext, CliError, type ExitCode, note, print, printJson } from "../context.ts";
import { knownRecipients, popRecipients } from "../known-recipients.ts";
import { plural } from "../preflight/text.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export interface RekeyOptions {
  add: string[];
  remove: string[];
  /** True: the stack's PoPs become recipients; false: none; absent: unchanged. */
  pops?: boolean;
}

export async function edit(context: CliContext, stack: Stack): Promise<ExitCode> {
  const { path, name } = fileOf(context, stack);
  const end = await asCliError(() => editSecrets(path, env(stack)));
  note(
    context,
    end === "changed" ? `${name} was changed. Commit it, then deploy: npx pulumi up` : `${name} was not changed.`,
  );
  return 0;
}

export async function showRecipients(
  context: CliContext,
  stack: Stack,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  const { path } = fileOf(context, stack);
  const { parsed } = await asCliError(() => readSecretsFile(path));
  const rows = recipientsOf(parsed, await knownRecipients(context, stack, path, parsed));
  if (json) printJson(context, rows);
  else
    print(
      context,
      table([
        ["who", "kind", "recipient"].map((cell) => styled(context, "head", cell)),
        ...rows.map((row) => [styled(context, tones[row.who], nameOf(row)), row.kind, row.id]),
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

export async function rekey(context: CliContext, stack: Stack, { add, remove, pops }: RekeyOptions): Promise<ExitCode> {
  const { path, name, edge } = fileOf(context, stack);
  if (add.length === 0 && remove.length === 0 && pops === undefined)
    throw new CliError("secrets rekey: pass at least one of --add, --remove, --pops, --no-pops. Nothing was changed.", {
      code: 2,
    });
  const ofPops = await popRecipients(context, stack);
  if (pops && Object.keys(ofPops).length === 0)
    throw new CliError(
      `Stack ${stack.name}: no PoP has a key yet. Deploy first (npx pulumi up --stack ${stack.name}). ${name} was not changed.`,
    );
  const rules = rulesFor(path);
  const operators = rules?.rule.recipients ?? [];
  const change = { stack: stack.name, pops: ofPops, namePops: pops, operators, add, remove };
  const done = await asCliError(() => rekeySecrets(path, change, env(stack)));
  for (const [word, ids] of [
    ["added", done.add],
    ["removed", done.remove],
  ] as const)
    for (const id of ids) note(context, `${word} ${id}`);
  const changed = done.add.length + done.remove.length > 0;
  const left = removedRecipients(done, remove);
  const followed = rules && followRekey(rules, { add, remove: left }, { secrets: name, within: context.dir });
  if (changed)
    note(
      context,
      `${name} was rekeyed. Commit it.${left.length > 0 ? " Removed recipients may have read the secrets: change them." : ""}`,
    );
  else note(context, `${name} already has these recipients. Nothing was changed.`);
  if (followed !== undefined) note(context, followed);
  const waiting = pops ? edge.pops.map((it) => it.name).filter((pop) => !(pop in ofPops)) : [];
  if (waiting.length > 0)
    note(
      context,
      `${waiting.join(", ")}: not added, because they have no key yet. Run this again after their first deployment.`,
    );
  return 0;
}

/** Recipients that were removed, without those only rewritten. Includes requested ones that are not in the file, because .sops.yaml may have them. */
const removedRecipients = ({ add, remove }: RekeyPlan, asked: readonly string[]): string[] => {
  const comes = new Set(add.map(plainRecipient));
  return [...new Set([...remove, ...asked].map(plainRecipient))].filter((id) => !comes.has(id));
};

export async function check(context: CliContext, stack: Stack): Promise<ExitCode> {
  const { path, name, wanted } = fileOf(context, stack);
  const { parsed } = await asCliError(() => readSecretsFile(path));
  const { departed, unknown } = recipientFaults(
    recipientsOf(parsed, await knownRecipients(context, stack, path, parsed)),
    name,
  );
  const problems = [...secretsProblems(parsed, wanted, name), ...departed];
  for (const warning of unknown) note(context, warning);
  for (const problem of problems) print(context, problem);
  if (problems.length > 0) return 3;
  const keys = wanted.length === 0 ? "the image needs none of its keys" : `it has ${wanted.join(", ")}`;
  print(context, `${name} is valid: encrypted for ${plural(parsed.recipients.length, "recipient")}, ${keys}.`);
  return 0;
}

/** `name`: the path in the stack file. */
function fileOf(context: CliContext, stack: Stack): { path: string; name: string; wanted: string[]; edge: EdgeConfig } {
  const edge = stack.config();
  const { secretsFile, image } = edge;
  if (secretsFile === undefined)
    throw new CliError(
      `Stack ${stack.name} has no secrets file: fly-pops:secretsFile is not set. Set it, for example to ./secrets.yaml (docs/config.md).`,
    );
  return { path: join(context.dir, secretsFile), name: secretsFile, wanted: requiredKeys(image), edge };
}

const env = (stack: Stack): NodeJS.ProcessEnv => ({ ...stack.env }) as NodeJS.ProcessEnv;

async function asCliError<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof SopsError ? new CliError(error.message, { cause: error }) : error;
  }
}
