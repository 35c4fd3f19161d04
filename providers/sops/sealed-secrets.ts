/**
 * The operator's secrets as one PoP gets them: a sops file that its identity opens. Inputs and outputs hold ciphertext alone; what changed is seen
 * from the operator's ciphertexts, so a plaintext leaves no trace, not even a hash.
 */
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import type { ChangeAction, Context, Handler } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { SopsError } from "./cli.ts";
import { encryptFor } from "./encrypt-for.ts";
import { hasRecipient, parseSopsFile, pickCiphertexts, SopsFileError } from "./file.ts";

const lifecycle = {
  pop: "ignored",
  file: "ignored", // a file that moved holds what it held
  ciphertexts: "update",
  recipient: "update",
} satisfies Record<keyof SealedSecretsInputs, ChangeAction>;

export const SealedSecretsInputs = z.strictObject({
  /** PoP they are for, e.g. cdg-1. */
  pop: z.string(),
  /** The operator's sops file, relative to the project. */
  file: z.string().min(1),
  /** What the image asks for, by key, as it stands encrypted in that file: another value there is another text here. */
  ciphertexts: z.record(z.string(), z.string().startsWith("ENC[", "is not encrypted")),
  /** The PoP's identity: `ssh-ed25519 AAAA...` */
  recipient: z.string().min(1),
});
export type SealedSecretsInputs = z.infer<typeof SealedSecretsInputs>;
export type SealedSecretsOutputs = SealedSecretsInputs & {
  schemaVersion: 1;
  /** A sops file (YAML) that the PoP's identity opens. */
  sealed: string;
};

/** The file as it lies there, which must be the one the program read. */
function readSecretsOf({ pop, file, ciphertexts }: SealedSecretsInputs): {
  text: string;
  hasRecipient(recipient: string): boolean;
} {
  try {
    const text = readFileSync(file, "utf8");
    const parsed = parseSopsFile(text);
    if (!isDeepStrictEqual(pickCiphertexts(parsed, Object.keys(ciphertexts)), ciphertexts))
      throw new SopsFileError("was changed while this ran");
    return { text, hasRecipient: (recipient) => hasRecipient(parsed, recipient) };
  } catch (error) {
    const why =
      error instanceof SopsFileError ? error.message : `cannot be read (${(error as NodeJS.ErrnoException).code})`;
    throw new Error(`${pop}: nothing sealed, ${file} ${why}. What the PoP has stays as it is. Run again.`);
  }
}

async function encryptForPop(
  inputs: SealedSecretsInputs,
  { sops, log }: Pick<Context, "sops" | "log">,
): Promise<string> {
  const { pop, file, ciphertexts, recipient } = inputs;
  const { text, hasRecipient } = readSecretsOf(inputs);
  if (hasRecipient(recipient)) {
    log(`${pop}: ${file} names it, so it goes there as it is`);
    return text;
  }
  try {
    const opened = await sops.decrypt(text, file);
    return await encryptFor(
      Object.fromEntries(Object.keys(ciphertexts).map((key) => [key, String(opened[key])])),
      recipient,
      sops,
    );
  } catch (error) {
    if (!(error instanceof SopsError)) throw error;
    throw new Error(`${pop}: nothing sealed, ${error.message}. What the PoP has stays as it is.`);
  }
}

export const sealedSecretsHandler = {
  schema: SealedSecretsInputs,
  lifecycle,
  deleteBeforeReplace: false,
  async create(inputs, context) {
    return { id: inputs.pop, outs: { ...inputs, schemaVersion: 1, sealed: await encryptForPop(inputs, context) } };
  },
  // Nothing of it is anywhere but in state and in the machine's config.
  async read(_id, outs) {
    const { schemaVersion: _, sealed: __, ...inputs } = outs;
    return { outs, inputs };
  },
  async update(_id, olds, news, context) {
    const same = olds.recipient === news.recipient && isDeepStrictEqual(olds.ciphertexts, news.ciphertexts);
    return { ...news, schemaVersion: 1, sealed: same ? olds.sealed : await encryptForPop(news, context) };
  },
  async delete() {},
} satisfies Handler<SealedSecretsInputs, SealedSecretsOutputs>;

export class SealedSecrets extends FlyResource<SealedSecretsInputs> {
  /** A sops file that the PoP's identity opens. */
  declare readonly sealed: pulumi.Output<string>;
  constructor(name: string, args: Args<SealedSecretsInputs>, opts?: pulumi.CustomResourceOptions) {
    super("SealedSecrets", name, args, { schemaVersion: undefined, sealed: undefined }, opts);
  }
}
