import { type Sops, SopsError } from "./cli.ts";
import { hasRecipient, parseSopsFile } from "./file.ts";

/** Encrypts values to one recipient. What comes out is looked at before it goes anywhere: a setting of the house must not have left one plain, or added a reader. */
export async function encryptFor(values: Record<string, string>, recipient: string, sops: Sops): Promise<string> {
  const text = await sops.encrypt(values, recipient);
  const parsed = parseSopsFile(text);
  const right =
    parsed.recipients.length === 1 &&
    hasRecipient(parsed, recipient) &&
    Object.keys(values).every((key) => parsed.ciphertexts[key] !== undefined);
  if (!right) throw new SopsError("what sops made is not sealed to the PoP alone. Look at the sops on PATH");
  return text;
}
