/** Keys for operators' access to a PoP. */
import { z } from "zod";
import { code, fields, stringField } from "../field.ts";
import { authorizedKeyProblem } from "../validators.ts";

export const Ssh = z
  .strictObject({
    authorizedKeys: z
      .array(
        stringField(authorizedKeyProblem).register(fields, {
          type: "string",
          takes: "a public key as in authorized_keys, without options, as in ssh-ed25519 AAAA... me",
          meaning: "A key that may log in as root.",
        }),
      )
      .min(1)
      .register(fields, {
        type: "array",
        takes: "a list of at least one public key",
        meaning: "The keys that may log in.",
      }),
  })
  .register(fields, {
    type: "object",
    takes: "a map with authorizedKeys",
    meaning:
      "An SSH server on each PoP's address in the tailnet, with the PoP's identity as host key. `fly ssh console` works without it.",
    default: "absent",
    refused: "a stack without `tailnet`",
  });

export const DebugTools = z.boolean().register(fields, {
  type: "boolean",
  takes: "true or false",
  meaning: "Packs curl, dig, strace, tcpdump, jq, lsof and openssl into the image.",
  default: code(false),
});
