/**
 * Fake outputs of providers for a preview without providers. The same inputs give the same outputs, so that differences between two checkouts show in
 * dependent resources too. Pure, except that the image's build context is read.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { kindOf } from "./digest.ts";

type Values = Readonly<Record<string, unknown>>;

export function mockOutputs(type: string, inputs: Values): Record<string, unknown> {
  switch (kindOf(type)) {
    case "Image": {
      // Pinned by the digest of its build context.
      const { context } = inputs.build as { context: string };
      return { repoDigest: `${String(inputs.imageName).split(":")[0]}@sha256:${digestOfDir(context)}` };
    }
    case "Identity": {
      const recipient = `ssh-ed25519 ${digest(inputs.app, inputs.pop)}`;
      return { recipient, knownHosts: `${String(inputs.pop)} ${recipient}`, isNew: false };
    }
    case "SealedSecrets":
      // From the ciphertexts: shows changed secrets without needing plain texts.
      return { sealed: digest(inputs.recipient, inputs.ciphertexts) };
    case "AuthKey":
      return {
        sealed: digest(inputs.recipient, inputs.driver, inputs.server, inputs.tags, inputs.secretName),
        keyId: "preview",
        expires: "9999-12-31T23:59:59Z",
      };
    default:
      return {};
  }
}

const digest = (...values: unknown[]): string => createHash("sha256").update(JSON.stringify(values)).digest("hex");

function digestOfDir(dir: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest("hex");
}
