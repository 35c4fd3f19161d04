/** Reads, checks, rekeys and edits the secrets file, for the commands of `npx fly-pops secrets`. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { decryptFailureReason, findSops, recipientError, SopsError } from "./cli.ts";
import { parseSopsFile, pickCiphertexts, type SopsFile, SopsFileError } from "./file.ts";
import { type Rekey, type RekeyPlan, rekeyFault, rekeyPlan } from "./recipients.ts";

/** Reads and parses the file. @throws SopsError if it does not exist, is not encrypted, or has several key groups (Shamir) */
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

/** Parses the text of the file. @throws SopsError with the file's name */
function parseSecretsFile(text: string, path: string): SopsFile {
  try {
    return parseSopsFile(text);
  } catch (error) {
    throw error instanceof SopsFileError ? new SopsError(`${path} ${error.message}.`) : error;
  }
}

/** Problems of the file with the keys that the image needs, one sentence each. Empty: none. Needs no key. */
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
 * Gives the file a new data key, encrypted to its recipients after the change, all in one group. Removed recipients cannot decrypt later versions, but
 * still know what they could read. @throws SopsError if the change is invalid, no recipient would be left, or none of the operator's keys decrypts it
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
    throw new SopsError(
      `${path}: no recipient would be left who can decrypt it. Nothing was changed. Add a recipient first.`,
    );
  const args = [
    "rotate",
    "--in-place",
    ...(plan.add.length > 0 ? ["--add-age", plan.add.join(",")] : []),
    ...(plan.remove.length > 0 ? ["--rm-age", plan.remove.join(",")] : []),
    path,
  ];
  const code = await inTerminal(program, args, env, true);
  if (code !== 0) throw new SopsError(`${path}: not rekeyed: ${whyNot(code)}. Nothing was changed.`);
  return plan;
}

/** Throws if sops does not accept the recipient. Nothing secret is encrypted for it, so the message of sops may be shown. */
async function assertRecipient(program: string, recipient: string, unchanged: string): Promise<void> {
  if (/^AGE-(SECRET-KEY|PLUGIN)-|PRIVATE KEY/i.test(recipient))
    throw new SopsError(
      `That is a private key, not a recipient: use its public key (age-keygen -y FILE, or the .pub file). ${unchanged}`,
    );
  if (recipient.includes(",")) throw new SopsError(`${recipient} is not a recipient: one at a time. ${unchanged}`);
  if (!/^(age1|ssh-)/.test(recipient.trim()))
    throw new SopsError(
      `${recipient} is not a recipient: expected an age public key (age1...) or an SSH public key (ssh-ed25519 AAAA..., ssh-rsa AAAA...). ${unchanged}`,
    );
  const reason = await recipientError(program, recipient);
  if (reason !== undefined) throw new SopsError(`${recipient} is not a recipient, sops says: ${reason}. ${unchanged}`);
}

const whyNot = (code: number): string =>
  code === 128
    ? "none of your keys can decrypt it. Set SOPS_AGE_KEY_FILE, or the equivalent for your key type"
    : decryptFailureReason(code);

/** Opens the file in the operator's editor ($SOPS_EDITOR, $EDITOR). A file that does not exist is created by the rules of .sops.yaml. */
export async function editSecrets(path: string, env = process.env): Promise<"changed" | "unchanged"> {
  const exists = isThere(path);
  if (exists) readSecretsFile(path);
  const code = await inTerminal(await findSops(env), ["edit", path], env, false);
  if (code === 200) return "unchanged";
  if (code === 0) return "changed";
  const editor = env.SOPS_EDITOR || env.EDITOR;
  const noRules = "no rule of a .sops.yaml says to whom to encrypt it. How to write one: docs/secrets.md";
  const why: Record<number, string> = {
    111: noRules,
    61: noRules,
    201: editor
      ? `the editor could not be run or failed: ${editor}. Set EDITOR to one that works`
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

/** Runs sops in the terminal, so that its keys can ask for a passphrase. `quiet`: hides its output, which may quote the file. */
function inTerminal(program: string, args: string[], env: NodeJS.ProcessEnv, quiet: boolean): Promise<number> {
  return new Promise((resolve, reject) => {
    const out = quiet ? "ignore" : "inherit";
    const child = spawn(program, args, { env, stdio: ["inherit", out, out] });
    child.on("error", (error) => reject(new SopsError(`${program} does not start, ${error.message}`)));
    child.on("close", (code) => resolve(code ?? 1));
  });
}
