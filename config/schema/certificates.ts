/** Keys that say where the sites' certificates come from. */
import { z } from "zod";
import { defaults } from "../defaults.ts";
import { code, fields, intField, stringField } from "../field.ts";
import { timeProblem } from "../time.ts";
import {
  fileProblem,
  hostProblem,
  originProblem,
  vaultFieldProblem,
  vaultNameProblem,
  vaultPathProblem,
} from "../validators.ts";
import { Acme } from "./acme.ts";

const field = (meaning: string, otherwise: string) =>
  stringField(vaultFieldProblem)
    .register(fields, {
      type: "string",
      takes: "the name of a field, as in fullchain",
      meaning,
      default: otherwise,
    })
    .optional();

const Fields = z
  .strictObject({
    key: field("The private key.", `${code(defaults.vaultFields.key)}, or none beside \`pem\``),
    chain: field(
      "The host's certificate and those of its authorities, or the authorities' alone beside `certificate`; a text, or a list of texts as Vault's own authority gives it (`ca_chain`).",
      `${code(defaults.vaultFields.chain)}, or none beside \`certificate\` or \`pem\``,
    ),
    certificate: field("The host's certificate, where it is not in `chain`.", "absent"),
    pem: field("Key and certificates in one.", "absent"),
  })
  .register(fields, {
    type: "object",
    takes: "a map with key, chain, certificate, or with pem alone",
    meaning: "Names of the fields of a certificate's secret, all PEM. Certificates may be in any order.",
    default: "key and chain",
    refused: "pem beside others",
  });

const time = (what: string) =>
  stringField(timeProblem).register(fields, {
    type: "string",
    takes: "a date or a time in UTC, as in 2027-02-27 or 2027-02-27T12:00:00Z",
    meaning: `When it ${what}.`,
  });

const SecretId = z.strictObject({ created: time("was made"), ends: time("ends") }).register(fields, {
  type: "object",
  takes: "a map with created and ends",
  meaning:
    "How long the secret_id is good for, where the policy does not let PoPs look themselves: with an eighth of that time left they say so. What the vault says counts for more.",
  default: "absent",
});

const Vault = z
  .strictObject({
    address: stringField(originProblem).register(fields, {
      type: "string",
      takes: "an http or https URL of scheme, host and port, as in https://vault.tail.example:8200",
      meaning:
        "Vault or OpenBao. By http only where the way there is encrypted by other means, a tailnet's for instance.",
      refused: "paths, queries, credentials",
    }),
    ca: stringField(fileProblem)
      .register(fields, {
        type: "string",
        takes: "a PEM file relative to the project, as in ./home-ca.pem",
        meaning: "CA certificates to trust for the vault instead of the public ones. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate",
      })
      .optional(),
    serverName: stringField(hostProblem)
      .register(fields, {
        type: "string",
        takes: "a DNS name, as in vault.example.org",
        meaning: "Name the vault's certificate must be for.",
        default: "the address's",
      })
      .optional(),
    namespace: stringField(vaultNameProblem)
      .register(fields, {
        type: "string",
        takes: "a path without slash at an end, as in admin or edge/eu",
        meaning: "Namespace of Vault Enterprise, HCP Vault or OpenBao where AppRole and the KV store are.",
        default: "absent: the root",
      })
      .optional(),
    authMount: stringField(vaultNameProblem)
      .register(fields, {
        type: "string",
        takes: "a path without slash at an end, as in approle",
        meaning: "Where AppRole is mounted, below `auth/`.",
        default: code(defaults.vaultAuthMount),
      })
      .optional(),
    mount: stringField(vaultPathProblem)
      .register(fields, {
        type: "string",
        takes: "a path without slash at an end, as in kv",
        meaning: "Where the KV store is mounted.",
        default: code(defaults.vaultMount),
      })
      .optional(),
    kvVersion: intField(1, 2)
      .register(fields, {
        type: "integer",
        takes: "1 or 2",
        meaning: "Version of the KV store: `bao secrets list -detailed` shows it.",
        default: code(defaults.vaultKvVersion),
      })
      .optional(),
    path: stringField(vaultPathProblem)
      .register(fields, {
        type: "string",
        takes: "a path without slash at an end, as in certbot/domains/{domain}",
        meaning: "Path of a certificate in it, with `{domain}` for its name.",
        default: code(defaults.vaultPath),
      })
      .optional(),
    fields: Fields.optional(),
    secretId: SecretId.optional(),
  })
  .register(fields, {
    type: "object",
    takes:
      "a map with address and perhaps ca, serverName, namespace, authMount, mount, kvVersion, path, fields, secretId",
    meaning:
      "Vault or OpenBao, asked by AppRole. The role's two halves are the secrets `vaultRoleId` and `vaultSecretId`.",
    default: "absent",
  });

export const Certificates = z.strictObject({ acme: Acme.optional(), vault: Vault.optional() }).register(fields, {
  type: "object",
  takes: "a map with acme, vault or both",
  meaning:
    "Where the sites' certificates come from. With both, the vault has those of all sites but the ones that say `certificate: { from: acme }`. Absent: each PoP signs its own. Until the first is there that is so in any case; afterwards the last good one on the volume serves.",
  default: "absent",
});
