/** The registry that the image is pushed to, by the same rules as config/registry.ts but without Pulumi's SDK. */
import { flyRegistry } from "../fly/registry.ts";
import type { Stack } from "./stack.ts";

/** host or host:port */
export const readRegistryName = ({ values, env }: Stack): string =>
  typeof values["fly:registry"] === "string" ? values["fly:registry"] : env.FLY_REGISTRY_HOST || flyRegistry;
