/** Parses a sops file without decrypting it. Pure. https://getsops.io/docs */
import { isMap, isScalar, parseDocument } from "yaml";

export interface SopsFile {
  /** Encrypted values by top-level key; undefined if the value is not one encrypted text. sops does not encrypt empty texts. */
  ciphertexts: Record<string, string | undefined>;
  /** age and SSH recipients, as written. */
  age: string[];
  /** All recipients, with sops's name of their type (age, pgp, kms, gcp_kms, azure_kv, hc_vault, ...). */
  recipients: { kind: string; id: string }[];
}

/** The file cannot be used. The message is a clause whose subject is the file. */
export class SopsFileError extends Error {
  constructor(reason: string) {
    super(reason);
    this.name = "SopsFileError";
  }
}

/** Lists of recipients in the metadata, and the key that holds the id of a recipient in each. */
const recipientIdKeys: Record<string, string> = {
  age: "recipient",
  pgp: "fp",
  kms: "arn",
  gcp_kms: "resource_id",
  azure_kv: "name",
  hc_vault: "key_name",
  hckms: "key_id",
};

const encrypted = /^ENC\[AES256_GCM,data:[A-Za-z0-9+/=]*,iv:[A-Za-z0-9+/=]+,tag:[A-Za-z0-9+/=]+,type:str\]$/;

/** @throws SopsFileError, whose message quotes nothing of the file */
export function parseSopsFile(text: string): SopsFile {
  const document = parseDocument(text, { uniqueKeys: true });
  const [error] = document.errors;
  if (error)
    throw new SopsFileError(
      `is not valid YAML${error.linePos ? `, line ${error.linePos[0].line} cannot be read` : ""}`,
    );
  const { contents } = document;
  if (!isMap(contents))
    throw new SopsFileError("is not encrypted: it has no sops metadata. Treat its contents as leaked");
  const metadata: unknown = contents.toJSON().sops;
  if (typeof metadata !== "object" || metadata === null)
    throw new SopsFileError("is not encrypted: it has no sops metadata. Treat its contents as leaked");
  const groups = (metadata as { key_groups?: unknown }).key_groups;
  if (Array.isArray(groups) && groups.length > 0)
    throw new SopsFileError(
      `has ${groups.length} key groups, each with only a part of the key (Shamir), but a PoP has one key. Reduce it to one group with sops, then run: npx fly-pops secrets rekey`,
    );
  const recipients = Object.entries(recipientIdKeys).flatMap(([kind, name]) =>
    listOf((metadata as Record<string, unknown>)[kind]).map((it) => ({ kind, id: String(it[name] ?? "?") })),
  );
  const ciphertexts = Object.fromEntries(
    contents.items.flatMap(({ key, value }) => {
      const name = isScalar(key) ? String(key.value) : String(key);
      if (name === "sops") return [];
      const plain = isScalar(value) ? value.value : undefined;
      return [
        [name, typeof plain === "string" && (plain === "" || encrypted.test(plain)) ? plain : undefined] as const,
      ];
    }),
  );
  return { ciphertexts, recipients, age: recipients.flatMap(({ kind, id }) => (kind === "age" ? [id] : [])) };
}

const listOf = (value: unknown): Record<string, unknown>[] =>
  Array.isArray(value) ? value.filter((it) => typeof it === "object" && it !== null) : [];

/** A recipient without the comment that an SSH key may have. */
export const plainRecipient = (recipient: string): string => recipient.trim().split(/\s+/).slice(0, 2).join(" ");

/** Whether the file is encrypted to this recipient. */
export const hasRecipient = ({ age }: SopsFile, recipient: string): boolean =>
  age.some((it) => plainRecipient(it) === plainRecipient(recipient));

/** The encrypted values of these keys. @throws SopsFileError that lists each key that is missing or not an encrypted text, with what to do */
export function pickCiphertexts({ ciphertexts }: SopsFile, keys: readonly string[]): Record<string, string> {
  const missing = keys.filter((key) => !Object.hasOwn(ciphertexts, key));
  const odd = keys.filter((key) => Object.hasOwn(ciphertexts, key) && ciphertexts[key] === undefined);
  const empty = keys.filter((key) => Object.hasOwn(ciphertexts, key) && ciphertexts[key] === "");
  const problems = [
    ...(missing.length > 0
      ? [`has no ${missing.join(", ")}: add ${missing.length > 1 ? "them" : "it"} with "npx fly-pops secrets edit"`]
      : []),
    ...empty.map((key) => `has an empty ${key}: fill it in with "npx fly-pops secrets edit"`),
    ...odd.map(
      (key) => `has a ${key} that is not an encrypted text: write it in quotes, with "npx fly-pops secrets edit"`,
    ),
  ];
  if (problems.length > 0) throw new SopsFileError(problems.join("; it "));
  return Object.fromEntries(keys.map((key) => [key, ciphertexts[key] ?? ""]));
}
