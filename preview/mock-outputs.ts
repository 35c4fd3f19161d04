/**
 * Outputs that only a provider can know, as a preview without any provider makes them up: the same inputs give the same outputs, so that what differs
 * between two checkouts differs in what is made from it too. Nothing of them is real. Pure, but for the image, whose context is read.
 */
import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { kindOf } from "./digest.ts";

type Values = Readonly<Record<string, unknown>>;

export function mockOutputs(type: string, inputs: Values): Record<string, unknown> {
  switch (kindOf(type)) {
    case "Image": {
      // Pinned by what it is made from.
      const { context } = inputs.build as { context: string };
      return { repoDigest: `${String(inputs.imageName).split(":")[0]}@sha256:${digestOfFolder(context)}` };
    }
    case "Identity": {
      const recipient = `ssh-ed25519 ${digest(inputs.app, inputs.pop)}`;
      return { recipient, knownHosts: `${String(inputs.pop)} ${recipient}`, isNew: false };
    }
    case "SealedSecrets":
      // Of the ciphertexts: a secret that changed is seen, and no plaintext is needed.
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

function digestOfFolder(folder: string): string {
  const hash = createHash("sha256");
  const files = readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .toSorted();
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest("hex");
}
