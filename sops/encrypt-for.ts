import { type Sops, SopsError } from "./cli.ts";
import { hasRecipient, parseSopsFile } from "./file.ts";

/** Encrypts values to one recipient, and verifies the result: no setting on this machine may have added a recipient or left a value in plain text. */
export async function encryptFor(values: Record<string, string>, recipient: string, sops: Sops): Promise<string> {
  const text = await sops.encrypt(values, recipient);
  const parsed = parseSopsFile(text);
  const right =
    parsed.recipients.length === 1 &&
    hasRecipient(parsed, recipient) &&
    Object.keys(values).every((key) => parsed.ciphertexts[key] !== undefined);
  if (!right) throw new SopsError("the output of sops is not encrypted to the PoP alone. Check the sops on PATH");
  return text;
}
