/** The operator's secrets: sops is here, the file is fit for the image, a key here opens it, and no key opens it that should not. */
import { join } from "node:path";
import type { EdgeConfig } from "../../config/types.ts";
import { requiredKeys } from "../../image/render/secrets.ts";
import { createSops, findSops, SopsError } from "../../sops/cli.ts";
import type { SopsFile } from "../../sops/file.ts";
import { recipientFaults, recipientsOf } from "../../sops/recipients.ts";
import { readSecretsFile, secretsProblems } from "../../sops/secrets-file.ts";
import type { CliContext } from "../context.ts";
import { knownRecipients } from "../known-recipients.ts";
import type { Stack } from "../stack.ts";
import type { Finding } from "./finding.ts";

/** None for a stack without secrets. */
export async function secretsChecks(context: CliContext, stack: Stack, edge: EdgeConfig): Promise<Finding[]> {
  const { secretsFile, image } = edge;
  if (secretsFile === undefined) return [];
  const env: NodeJS.ProcessEnv = { ...stack.env };
  const program = await finding("sops", async () => ({ detail: await findSops(env) }));
  let text = "";
  let parsed: SopsFile | undefined;
  const file = await finding("secrets file", async () => {
    const read = readSecretsFile(join(context.dir, secretsFile));
    const problems = secretsProblems(read.parsed, requiredKeys(image), secretsFile);
    if (problems.length > 0) throw new SopsError(problems.join(" "));
    ({ text, parsed } = read);
    return { detail: `${secretsFile}, for ${read.parsed.recipients.length}` };
  });
  if (program.status === "failed" || file.status === "failed")
    return [program, file, { name: "sops key", status: "skipped", detail: "cannot be tried before that is fixed" }];
  const key = await finding("sops key", async () => {
    await createSops({ env }).decrypt(text, secretsFile);
    return { detail: `opens ${secretsFile}` };
  });
  return [program, file, key, ...(parsed ? [await recipientsCheck(context, stack, secretsFile, parsed)] : [])];
}

async function recipientsCheck(context: CliContext, stack: Stack, name: string, parsed: SopsFile): Promise<Finding> {
  const path = join(context.dir, name);
  const rows = recipientsOf(parsed, await knownRecipients(context, stack, path, parsed));
  const counts = Map.groupBy(rows, ({ who }) => who);
  const detail = [...counts].map(([who, { length }]) => `${length} ${who}`).join(", ");
  const { departed, unknown } = recipientFaults(rows, name);
  const status = departed.length > 0 ? "failed" : unknown.length > 0 ? "warning" : "ok";
  const fixes = [...departed, ...unknown];
  return { name: "secrets recipients", status, detail, ...(fixes.length > 0 && { fix: fixes.join("\n") }) };
}

/** What went wrong is a sentence that ends in its fix. */
async function finding(name: string, look: () => Promise<{ detail: string }>): Promise<Finding> {
  try {
    return { name, status: "ok", ...(await look()) };
  } catch (error) {
    if (!(error instanceof SopsError)) throw error;
    return { name, status: "failed", detail: "not as it must be", fix: error.message };
  }
}
