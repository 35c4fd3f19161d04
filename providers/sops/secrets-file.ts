/** What an operator does with the file of secrets: who opens it, who is to, is it fit for the PoPs. The commands of `npx fly-pops secrets` are made of these. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { decryptFailureReason, findSops, recipientError, SopsError } from "./cli.ts";
import { parseSopsFile, pickCiphertexts, type SopsFile, SopsFileError } from "./file.ts";
import { type Rekey, type RekeyPlan, rekeyFault, rekeyPlan } from "./recipients.ts";

/** Reads and takes apart a file. @throws SopsError when it is not there, plain, or split among several keys (Shamir) */
export function readSecretsFile(path: string): { text: string; parsed: SopsFile } {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new SopsError(
      code === "ENOENT"
        ? `${path}: no such file. Make it with: npx fly-pops secrets edit`
        : `${path} cannot be read (${code}).`,
    );
  }
  return { text, parsed: parseSecretsFile(text, path) };
}

/** @throws SopsError with the file's name */
export function parseSecretsFile(text: string, path: string): SopsFile {
  try {
    return parseSopsFile(text);
  } catch (error) {
    throw error instanceof SopsFileError ? new SopsError(`${path} ${error.message}.`) : error;
  }
}

/** What is wrong with a file for the image's wants, a sentence each; none: it is fit. Needs no key. */
export function secretsProblems(parsed: SopsFile, wanted: readonly string[], path: string): string[] {
  return wanted.flatMap((key) => {
    try {
      pickCiphertexts(parsed, [key]);
      return [];
    } catch (error) {
      if (error instanceof SopsFileError) return [`${path} ${error.message}.`];
      throw error;
    }
  });
}

/**
 * Gives the file a new data key, wrapped for its recipients after the change, all in one group. Whoever was taken out opens no later version; what they
 * have seen they have seen. @throws SopsError when the change names nobody or contradicts itself, nobody would be left, or no key here opens the file
 */
export async function rekeySecrets(path: string, change: Rekey, env = process.env): Promise<RekeyPlan> {
  const { parsed } = readSecretsFile(path);
  const name = basename(path);
  const unchanged = `${name} was not changed.`;
  const fault = rekeyFault(parsed, change, name);
  if (fault !== undefined) throw new SopsError(`${fault} ${unchanged}`);
  const plan = rekeyPlan(parsed, change);
  const program = await findSops(env);
  for (const recipient of change.add ?? []) await assertRecipient(program, recipient, unchanged);
  if (plan.add.length === 0 && plan.remove.length === 0) return plan;
  if (parsed.recipients.length - plan.remove.length + plan.add.length === 0)
    throw new SopsError(`${path}: nobody would be left who can open it. Nothing was changed. Add a recipient first.`);
  const args = [
    "rotate",
    "--in-place",
    ...(plan.add.length > 0 ? ["--add-age", plan.add.join(",")] : []),
    ...(plan.remove.length > 0 ? ["--rm-age", plan.remove.join(",")] : []),
    path,
  ];
  const code = await inTerminal(program, args, env, true);
  if (code !== 0) throw new SopsError(`${path}: not rekeyed, ${whyNot(code)}. Nothing was changed.`);
  return plan;
}

/** Asks sops itself, with nothing to encrypt: what it says of a recipient then quotes nobody's secret. */
async function assertRecipient(program: string, recipient: string, unchanged: string): Promise<void> {
  if (/^AGE-(SECRET-KEY|PLUGIN)-|PRIVATE KEY/i.test(recipient))
    throw new SopsError(
      `That is a private key, and no recipient: take its public half (age-keygen -y FILE, or the .pub file). ${unchanged}`,
    );
  if (recipient.includes(",")) throw new SopsError(`${recipient} is no recipient: one at a time. ${unchanged}`);
  if (!/^(age1|ssh-)/.test(recipient.trim()))
    throw new SopsError(
      `${recipient} is no recipient: takes an age public key (age1...) or an SSH public key (ssh-ed25519 AAAA..., ssh-rsa AAAA...). ${unchanged}`,
    );
  const reason = await recipientError(program, recipient);
  if (reason !== undefined) throw new SopsError(`${recipient} is no recipient, says sops: ${reason}. ${unchanged}`);
}

const whyNot = (code: number): string =>
  code === 128
    ? "no key here opens it. Set SOPS_AGE_KEY_FILE, or what your kind of key needs"
    : decryptFailureReason(code);

/** Opens the file in the operator's editor ($SOPS_EDITOR, $EDITOR). A file that is not there is made by the rules of .sops.yaml. */
export async function editSecrets(path: string, env = process.env): Promise<"changed" | "unchanged"> {
  const exists = isThere(path);
  if (exists) readSecretsFile(path);
  const code = await inTerminal(await findSops(env), ["edit", path], env, false);
  if (code === 200) return "unchanged";
  if (code === 0) return "changed";
  const editor = env.SOPS_EDITOR || env.EDITOR;
  const noRules = "there is no .sops.yaml that says whom to encrypt to. How to write one: docs/secrets.md";
  const why: Record<number, string> = {
    111: noRules,
    61: noRules,
    201: editor
      ? `the editor could not be run, or did not end well: ${editor}. Set EDITOR to one that is there`
      : "no editor is set. Set EDITOR",
  };
  throw new SopsError(`${path}: not edited, ${why[code] ?? whyNot(code)}. Nothing was changed.`);
}

function isThere(path: string): boolean {
  try {
    readFileSync(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ENOENT";
  }
}

/** Runs sops where its keys may ask a person. `quiet`: its own words stay out, for they may quote the file. */
function inTerminal(program: string, args: string[], env: NodeJS.ProcessEnv, quiet: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const out = quiet ? "ignore" : "inherit";
    const child = spawn(program, args, { env, stdio: ["inherit", out, out] });
    child.on("error", (error) => reject(new SopsError(`${program} does not start, ${error.message}`)));
    child.on("close", (code) => resolve(code ?? 1));
  });
}
