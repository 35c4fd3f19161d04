/** Keys that say where the sites' certificates come from. */
import { z } from "zod";
import { defaults } from "../defaults.ts";
import { code, fields, stringField as text } from "../field.ts";
import { fileProblem, hostProblem, originProblem, vaultPathProblem } from "../validators.ts";
import { Acme } from "./acme.ts";

const Vault = z
  .strictObject({
    address: text(originProblem).register(fields, {
      type: "string",
      takes: "an http or https URL of scheme, host and port, as in https://vault.tail.example:8200",
      meaning:
        "Vault or OpenBao. By http only where the way there is encrypted by other means, a tailnet's for instance.",
      refused: "paths, queries, credentials",
    }),
    ca: text(fileProblem)
      .register(fields, {
        type: "string",
        takes: "a PEM file relative to the project, as in ./home-ca.pem",
        meaning: "Authorities that count for the vault instead of the public ones. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate",
      })
      .optional(),
    serverName: text(hostProblem)
      .register(fields, {
        type: "string",
        takes: "a DNS name, as in vault.example.org",
        meaning: "Name the vault's certificate must be for.",
        default: "the address's",
      })
      .optional(),
    mount: text(vaultPathProblem)
      .register(fields, {
        type: "string",
        takes: "a path without slash at an end, as in kv",
        meaning: "Where the KV store (version 2) is mounted.",
        default: code(defaults.vaultMount),
      })
      .optional(),
    path: text(vaultPathProblem)
      .register(fields, {
        type: "string",
        takes: "a path without slash at an end, as in certbot/domains/{domain}",
        meaning: "Where a certificate lies in it, `{domain}` for its name: fields `key` and `chain`, both PEM.",
        default: code(defaults.vaultPath),
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with address and perhaps ca, serverName, mount, path",
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
