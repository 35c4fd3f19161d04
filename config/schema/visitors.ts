/** Keys of access to a site or a port. */
import { z } from "zod";
import { isAgent, maxNetworks } from "../../image/render/networks.ts";
import { fields, stringField, stringOrList } from "../field.ts";
import { networkOrFileProblem } from "../validators.ts";

const takesNetworks =
  "an address, a network or a file of them relative to the project, as in 203.0.113.7, 2001:db8::/32 or ./lists/bad.txt, or a list of these";

const Networks = () =>
  stringOrList({
    problem: networkOrFileProblem,
    most: 1000,
    tooMany: "expected 1 to 1000 entries; put longer lists into a file",
    other: `expected ${takesNetworks}`,
  });

const fileMeaning = "A file has one entry per line, and comments after `#` or `;`. It is read when the image is built.";

/** Keys for visitors' addresses. */
export const networkKeys = (what: "site" | "port") => ({
  allow: Networks()
    .register(fields, {
      type: "string or array",
      takes: takesNetworks,
      meaning: `Only these addresses may use the ${what}. ${fileMeaning}`,
      default: "absent",
      refused: `files with more than ${maxNetworks} networks`,
    })
    .optional(),
  deny: Networks()
    .register(fields, {
      type: "string or array",
      takes: takesNetworks,
      meaning: `These addresses may not use it, even if \`allow\` lists them. ${fileMeaning} To block an address at once and for a limited time: \`npx fly-pops block 203.0.113.7 --for 1h\`.`,
      default: "absent",
      refused: `files with more than ${maxNetworks} networks`,
    })
    .optional(),
});

export const Access = z
  .strictObject({
    ...networkKeys("site"),
    agents: z
      .array(
        stringField((value) =>
          isAgent(value)
            ? undefined
            : "expected a part of a User-Agent, as in GPTBot: 3 to 100 letters, digits, spaces and ._/+;:,@()-",
        ).register(fields, {
          type: "string",
          takes: "a part of a User-Agent, as in GPTBot: 3 to 100 letters, digits, spaces and ._/+;:,@()-",
          meaning: "Matched anywhere in the User-Agent, case-insensitively.",
        }),
      )
      .min(1)
      .max(200)
      .register(fields, {
        type: "array",
        takes: "a list of 1 to 200 parts of a User-Agent, as in [GPTBot, ClaudeBot, Bytespider]",
        meaning:
          "Programs that may not use the site, by their User-Agent. It stops only programs that identify themselves.",
        default: "absent",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of allow, deny, agents",
    meaning:
      "Who may use the site. All others get 403, and the request reaches neither the cache nor the origin. ACME challenges (`/.well-known/acme-challenge/...`) and Fly's health check are always allowed.",
    default: "absent",
  });
