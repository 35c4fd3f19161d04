/** Keys of certificates that PoPs order themselves. */
import { z } from "zod";
import { defaults } from "../defaults.ts";
import { directoryProblem, dnsAlgorithms, dnsKeyProblem, emailProblem, profileProblem } from "../directory.ts";
import { code, enumField, fields, orList, stringField } from "../field.ts";
import { endpointProblem, fileProblem, secretKeyProblem } from "../validators.ts";

const directory = "letsencrypt, staging, or an https URL, as in https://acme.zerossl.com/v2/DV90";

const Dns = z
  .strictObject({
    server: stringField(endpointProblem).register(fields, {
      type: "string",
      takes: "a host and a port, as in ns1.example.org:53",
      meaning:
        "Primary name server of the sites' zones, where updates are sent to (RFC 2136, over TCP). It may be in the tailnet.",
    }),
    key: stringField(dnsKeyProblem).register(fields, {
      type: "string",
      takes: "the name of a TSIG key, as in pops",
      meaning:
        "Key that may add and remove TXT records at `_acme-challenge` of each name, and should be allowed nothing else.",
    }),
    algorithm: enumField(dnsAlgorithms, "algorithm")
      .register(fields, {
        type: "string",
        takes: orList(dnsAlgorithms),
        meaning: "Of the key.",
        default: code(defaults.dnsAlgorithm),
      })
      .optional(),
    secret: stringField(secretKeyProblem).register(fields, {
      type: "string",
      takes: "a key of the secrets file, as in dnsKey",
      meaning: "Key of the secrets file that holds the TSIG key's secret, base64.",
    }),
  })
  .register(fields, {
    type: "object",
    takes: "a map with server, key, secret and perhaps algorithm",
    meaning:
      "Names are proved by TXT records that PoPs set themselves (DNS-01), instead of requests to port 80: wildcards too, and names that do not lead to this app yet. Every PoP holds the key.",
    default: "absent",
  });

export const Acme = z
  .strictObject({
    email: stringField(emailProblem).register(fields, {
      type: "string",
      takes: "a mail address, as in ada@example.org",
      meaning: "Where the authority may write to. It is in the image.",
    }),
    terms: enumField(["agreed"], "answer to the authority's terms").register(fields, {
      type: "string",
      takes: "agreed, once you have read the authority's terms of service (https://letsencrypt.org/repository/)",
      meaning: "That you agree to the terms of service of each authority named here: no account is made without.",
    }),
    directory: stringField(directoryProblem)
      .register(fields, {
        type: "string",
        takes: directory,
        meaning:
          "The authority, by the URL of its ACME directory. `staging` is Let's Encrypt's for trials: browsers refuse its certificates, and its limits are wide.",
        default: code(defaults.acmeDirectory),
        refused: "http",
      })
      .optional(),
    profile: stringField(profileProblem)
      .register(fields, {
        type: "string",
        takes: "a profile the authority has, as in shortlived",
        meaning:
          "Kind of certificate, as the authority names it (https://letsencrypt.org/docs/profiles/). Of `directory` alone.",
        default: "the authority's own choice",
      })
      .optional(),
    eab: stringField(secretKeyProblem)
      .register(fields, {
        type: "string",
        takes: "a key of the secrets file, as in acmeEab",
        meaning:
          "External account at `directory`, which ZeroSSL and Google want: the key holds the key id and the HMAC key (base64url), with white space between them.",
        default: "absent",
      })
      .optional(),
    dns: Dns.optional(),
    fallback: z
      .array(
        stringField(directoryProblem).register(fields, {
          type: "string",
          takes: directory,
          meaning: "A further authority.",
        }),
      )
      .min(1)
      .max(4)
      .register(fields, {
        type: "array",
        takes: "a list of 1 to 4 directories",
        meaning:
          "Authorities to try in this order if the previous one fails and the certificate is urgent: there is none, or less than a sixth of its lifetime is left.",
        default: "absent",
        refused: "one twice",
      })
      .optional(),
    trust: stringField(fileProblem)
      .register(fields, {
        type: "string",
        takes: "a PEM file relative to the project, as in ./home-ca.pem",
        meaning:
          "CA certificates to trust for the directories' own https certificates instead of the public ones, for a private authority. Read when the image is built.",
        default: "absent",
        refused: "absolute paths; files that hold a private key or no certificate",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with email, terms and perhaps directory, profile, eab, dns, fallback, trust",
    meaning:
      "PoPs get certificates from an authority by themselves (ACME, HTTP-01 or DNS-01), one for the names of a site, and renew them. Keys are made on each PoP's volume and stay there.",
    default: "absent",
    refused: "wildcards without dns: HTTP-01 proves single names only",
  });
