/** The operator's secrets: sops is here, the file is fit for the image, and a key here opens it. */
import { join } from "node:path";
import type { EdgeConfig } from "../../config/types.ts";
import { wantedKeys } from "../../image/render/secrets.ts";
import { createSops, findSops, SopsError } from "../../providers/sops/cli.ts";
import { readSecretsFile, secretsProblems } from "../../providers/sops/operator.ts";
import type { Finding } from "../commands/doctor.ts";
import type { Stack } from "../stack.ts";
import type { World } from "../world.ts";

/** None for a stack without secrets. */
export async function secretsChecks(world: World, stack: Stack, edge: EdgeConfig): Promise<Finding[]> {
  const { secretsFile, image } = edge;
  if (secretsFile === undefined) return [];
  const env: NodeJS.ProcessEnv = { ...stack.env };
  const program = await finding("sops", async () => ({ detail: await findSops(env) }));
  let text = "";
  const file = await finding("secrets file", async () => {
    const read = readSecretsFile(join(world.dir, secretsFile));
    const problems = secretsProblems(read.parsed, wantedKeys(image), secretsFile);
    if (problems.length > 0) throw new SopsError(problems.join(" "));
    text = read.text;
    return { detail: `${secretsFile}, for ${read.parsed.recipients.length}` };
  });
  if (program.verdict === "bad" || file.verdict === "bad")
    return [program, file, { name: "sops key", verdict: "skipped", detail: "not to be tried before that is mended" }];
  const key = await finding("sops key", async () => {
    await createSops({ env }).decrypt(text, secretsFile);
    return { detail: `opens ${secretsFile}` };
  });
  return [program, file, key];
}

/** What went wrong is a sentence that ends in its fix. */
async function finding(name: string, look: () => Promise<{ detail: string }>): Promise<Finding> {
  try {
    return { name, verdict: "good", ...(await look()) };
  } catch (error) {
    if (!(error instanceof SopsError)) throw error;
    return { name, verdict: "bad", detail: "not as it must be", fix: error.message };
  }
}
