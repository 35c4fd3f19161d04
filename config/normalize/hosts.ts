/** The names of a site, normalized for the image. */
import type { Site } from "../../image/spec.ts";
import type { StackFile } from "../schema.ts";
import { normalizeName } from "../validators.ts";

export const hosts = ({
  aliases,
  default: isDefault,
}: Pick<StackFile["sites"][number], "aliases" | "default">): Pick<Site, "aliases" | "default"> => ({
  ...(aliases !== undefined && { aliases: aliases.map(normalizeName).toSorted() }),
  ...(isDefault === true && { default: true }),
});
