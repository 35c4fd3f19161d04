/**
 * The operator's secrets for one PoP: a sops file that its identity decrypts. Inputs and outputs hold only ciphertext. Changes are detected by the
 * operator's ciphertexts, so that not even a hash of a plaintext is stored.
 */
import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { SopsError } from "../sops/cli.ts";
import { encryptFor } from "../sops/encrypt-for.ts";
import { hasRecipient, parseSopsFile, pickCiphertexts, SopsFileError } from "../sops/file.ts";
import type { ChangeAction, Context, Handler } from "./handler.ts";
import { type Args, FlyResource } from "./resource.ts";

const lifecycle = {
  pop: "ignored",
  file: "ignored", // another path does not change the content
  ciphertexts: "update",
  recipient: "update",
} satisfies Record<keyof SealedSecretsInputs, ChangeAction>;

export const SealedSecretsInputs = z.strictObject({
  /** PoP they are for, e.g. cdg-1. */
  pop: z.string(),
  /** The operator's sops file, relative to the project. */
  file: z.string().min(1),
  /** Ciphertexts of the keys that the image needs, from that file. A changed value has another ciphertext. */
  ciphertexts: z.record(z.string(), z.string().startsWith("ENC[", "is not encrypted")),
  /** The PoP's identity: `ssh-ed25519 AAAA...` */
  recipient: z.string().min(1),
});
export type SealedSecretsInputs = z.infer<typeof SealedSecretsInputs>;
export type SealedSecretsOutputs = SealedSecretsInputs & {
  schemaVersion: 1;
  /** A sops file (YAML) that the PoP's identity decrypts. */
  sealed: string;
};

/** Reads the file again. Its ciphertexts must be those that the program read. */
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
    throw new Error(`${pop}: no secrets were encrypted: ${file} ${why}. The PoP keeps the secrets it has. Run again.`);
  }
}

async function encryptForPop(
  inputs: SealedSecretsInputs,
  { sops, log }: Pick<Context, "sops" | "log">,
): Promise<string> {
  const { pop, file, ciphertexts, recipient } = inputs;
  const { text, hasRecipient } = readSecretsOf(inputs);
  if (hasRecipient(recipient)) {
    log(`${pop}: ${file} is already encrypted to it and is shipped unchanged`);
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
    throw new Error(`${pop}: no secrets were encrypted: ${error.message}. The PoP keeps the secrets it has.`);
  }
}

export const sealedSecretsHandler = {
  schema: SealedSecretsInputs,
  lifecycle,
  deleteBeforeReplace: false,
  async create(inputs, context) {
    return { id: inputs.pop, outs: { ...inputs, schemaVersion: 1, sealed: await encryptForPop(inputs, context) } };
  },
  // It exists only in state and in the machine's config.
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
