/** Keys of who may use a site or a port. */
import { z } from "zod";
import { isAgent, maxNetworks } from "../../image/render/networks.ts";
import { fields, oneOrMore, text } from "../field.ts";
import { networkOrFileProblem } from "../names.ts";

const takesNetworks =
  "an address, a network or a file of them relative to the project, as in 203.0.113.7, 2001:db8::/32 or ./lists/bad.txt, or a list of these";

const Networks = () =>
  oneOrMore({
    problem: networkOrFileProblem,
    most: 1000,
    tooMany: "takes 1 to 1000 of them; longer lists go into a file",
    other: `takes ${takesNetworks}`,
  });

const fileMeaning = "A file has one a line, and comments behind `#` or `;`; it is read when the image is built.";

/** Addresses, of those who use a site or a port. */
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
      meaning: `These addresses may not, even if \`allow\` has them. ${fileMeaning} For an address that is to be turned away for a time, at once: \`npx fly-pops block 203.0.113.7 --for 1h\`.`,
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
        text((value) =>
          isAgent(value)
            ? undefined
            : "takes a part of a User-Agent, as in GPTBot: 3 to 100 letters, digits, spaces and ._/+;:,@()-",
        ).register(fields, {
          type: "string",
          takes: "a part of a User-Agent, as in GPTBot: 3 to 100 letters, digits, spaces and ._/+;:,@()-",
          meaning: "Found anywhere in it, whatever its case.",
        }),
      )
      .min(1)
      .max(200)
      .register(fields, {
        type: "array",
        takes: "a list of 1 to 200 parts of a User-Agent, as in [GPTBot, ClaudeBot, Bytespider]",
        meaning: "Programs that may not use the site, by what they call themselves: it stops those that do not lie.",
        default: "absent",
      })
      .optional(),
  })
  .register(fields, {
    type: "object",
    takes: "a map with any of allow, deny, agents",
    meaning:
      "Who may use the site; all others get 403, before the cache or the origin is asked. Paths of ACME challenges (`/.well-known/acme-challenge/...`) are open to everybody, and so is Fly's health check.",
    default: "absent",
  });
