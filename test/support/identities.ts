/** Identities as PoPs have them, each from a seed, so that a volume always holds the same one. */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from "node:crypto";
import type { Behaviour } from "../../local/fly/runners/state-runner.ts";

export interface TestIdentity {
  /** `ssh-ed25519 AAAA...` */
  recipient: string;
  /** PEM (PKCS #8), which sops takes for an SSH key. */
  privateKey: string;
}

/** DER before the 32 bytes of an ed25519 private key: RFC 8410. */
const pkcs8 = Buffer.from("302e020100300506032b657004220420", "hex");

export function identityOf(seed: string): TestIdentity {
  const der = Buffer.concat([pkcs8, createHash("sha256").update(seed).digest()]);
  const key = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return {
    recipient: `ssh-ed25519 ${sshBlob(key).toString("base64")}`,
    privateKey: key.export({ format: "pem", type: "pkcs8" }).toString(),
  };
}

/** RFC 8709: name and key, each with its length before it. */
function sshBlob(key: KeyObject): Buffer {
  const raw = Buffer.from(createPublicKey(key).export({ format: "jwk" }).x ?? "", "base64url");
  return Buffer.concat([Buffer.from("ssh-ed25519"), raw].flatMap((it) => [length(it), it]));
}

function length(bytes: Buffer): Buffer {
  const four = Buffer.alloc(4);
  four.writeUInt32BE(bytes.length);
  return four;
}

/** What the helper of the image answers in a machine: the identity of the volume that is mounted there. */
export const popExec: Behaviour["exec"] = (command, _stdin, { config }) => {
  if (command.join(" ") !== "/usr/bin/pop identity show") return { exitCode: 127, stdout: "", stderr: "not found" };
  const { recipient } = identityOf(config.mounts?.[0]?.volume ?? "");
  const fingerprint = `SHA256:${createHash("sha256").update(recipient).digest("base64").replace(/=+$/, "")}`;
  return {
    exitCode: 0,
    stdout: `${JSON.stringify({ recipient, knownHosts: `x ${recipient}`, fingerprint })}\n`,
    stderr: "",
  };
};
