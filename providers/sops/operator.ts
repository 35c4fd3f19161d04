/** What an operator does with the file of secrets: who opens it, who is to, is it fit for the PoPs. The commands of `npx fly-pops secrets` are made of these. */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { findSops, SopsError } from "./cli.ts";
import { NotUsable, parseSopsFile, plainRecipient, type SopsFile, wantedOf } from "./file.ts";

/** Recipients of PoPs by PoP name, e.g. { "cdg-1": "ssh-ed25519 AAAA..." }: the stack's output `recipients`. */
export type PopRecipients = Readonly<Record<string, string>>;

export interface Recipient {
  /** sops's name of its kind: age (SSH keys too), pgp, kms, ... */
  kind: string;
  /** As it stands in the file. */
  id: string;
  /** The PoP it is; absent: an operator's. */
  pop?: string;
}

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
  return { text, parsed: parseOrRefuse(text, path) };
}

/** @throws SopsError with the file's name */
export function parseOrRefuse(text: string, path: string): SopsFile {
  try {
    return parseSopsFile(text);
  } catch (error) {
    throw error instanceof NotUsable ? new SopsError(`${path} ${error.message}.`) : error;
  }
}

/** Everybody the file opens for, operators first. */
export function recipientsOf(parsed: SopsFile, pops: PopRecipients = {}): Recipient[] {
  const popOf = new Map(Object.entries(pops).map(([pop, recipient]) => [plainRecipient(recipient), pop]));
  return parsed.recipients
    .map(({ kind, id }) => {
      const pop = kind === "age" ? popOf.get(plainRecipient(id)) : undefined;
      return { kind, id, ...(pop !== undefined && { pop }) };
    })
    .toSorted(
      (a, b) => Number(a.pop !== undefined) - Number(b.pop !== undefined) || (a.pop ?? "").localeCompare(b.pop ?? ""),
    );
}

/** What is wrong with a file for the image's wants, a sentence each; none: it is fit. Needs no key. */
export function secretsProblems(parsed: SopsFile, wanted: readonly string[], path: string): string[] {
  return wanted.flatMap((key) => {
    try {
      wantedOf(parsed, [key]);
      return [];
    } catch (error) {
      if (error instanceof NotUsable) return [`${path} ${error.message}.`];
      throw error;
    }
  });
}

export interface Rekey {
  /** The stack's PoPs. */
  pops: PopRecipients;
  /** Whether the file is to name them, so that it goes to them as it is and nobody needs a key to deploy. */
  namePops: boolean;
  /** All age or SSH recipients of operators. Absent: those the file names now that are no PoP of the stack. Recipients of other kinds stay in any case. */
  operators?: readonly string[];
}

/** Who comes and who goes, so that a file names whom it should. */
export function rekeyPlan(
  { age }: SopsFile,
  { pops, namePops, operators }: Rekey,
): { add: string[]; remove: string[] } {
  const has = new Map(age.map((id) => [plainRecipient(id), id]));
  const ofPops = Object.values(pops).map(plainRecipient);
  const ofOperators = operators?.map(plainRecipient) ?? [...has.keys()].filter((it) => !ofPops.includes(it));
  const wanted = new Set([...ofOperators, ...(namePops ? ofPops : [])]);
  return {
    add: [...wanted].filter((it) => !has.has(it)).toSorted(),
    // As written in the file: sops compares the whole text.
    remove: [...has].flatMap(([key, id]) => (wanted.has(key) ? [] : [id])).toSorted(),
  };
}

/**
 * Gives the file a new data key, wrapped for its recipients after the change, all in one group. Whoever was taken out opens no later version; what they
 * have seen they have seen. @throws SopsError when nobody would be left, or no key here opens the file
 */
export async function rekeySecrets(
  path: string,
  change: Rekey,
  env = process.env,
): Promise<{ add: string[]; remove: string[] }> {
  const { parsed } = readSecretsFile(path);
  const plan = rekeyPlan(parsed, change);
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
  const code = await inTerminal(await findSops(env), args, env, true);
  if (code !== 0)
    throw new SopsError(
      `${path}: not rekeyed, ${code === 128 ? "no key here opens it. Set SOPS_AGE_KEY_FILE, or what your kind of key needs" : `sops ended with code ${code}`}. Nothing was changed.`,
    );
  return plan;
}

/** Opens the file in the operator's editor ($SOPS_EDITOR, $EDITOR). A file that is not there is made by the rules of .sops.yaml. */
export async function editSecrets(path: string, env = process.env): Promise<"changed" | "unchanged"> {
  const exists = isThere(path);
  if (exists) readSecretsFile(path);
  const code = await inTerminal(await findSops(env), ["edit", path], env, false);
  if (code === 200) return "unchanged";
  if (code === 0) return "changed";
  const noRules = "there is no .sops.yaml that says whom to encrypt to. How to write one: docs/secrets.md";
  const why: Record<number, string> = {
    128: "no key here opens it. Set SOPS_AGE_KEY_FILE, or what your kind of key needs",
    111: noRules,
    61: noRules,
    201: "no editor is set. Set EDITOR",
  };
  throw new SopsError(`${path}: not edited, ${why[code] ?? `sops ended with code ${code}`}. Nothing was changed.`);
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
