/** The components in the response of `pop health`. Every reader of a PoP's health takes them from here. */
import { z } from "zod";

const Components = z.record(z.string(), z.looseObject({ status: z.string(), reason: z.string().optional() }));

/** Keys of the response, of which `componentsOf` makes one. */
export const componentKeys = {
  components: Components.optional(),
  /** The name of `components` in the previous version, whose PoPs are read for one more version. */
  parts: Components.optional(),
};

/** Empty for a PoP that reports none. */
export const componentsOf = ({ components, parts }: z.infer<z.ZodObject<typeof componentKeys>>) =>
  components ?? parts ?? {};
