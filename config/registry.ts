/** The registry that the image is pushed to, and its credentials. */

import * as pulumi from "@pulumi/pulumi";
import { stripScheme } from "../fly/http.ts";
import { flyRegistry } from "../fly/registry.ts";
import { tokenFrom } from "../fly/settings.ts";

export interface Registry {
  /** host or host:port */
  server: string;
  /** Absent: the Docker engine's own login is used. */
  username?: string;
  /** Secret. */
  password?: pulumi.Output<string>;
}

/**
 * `fly:registry`, else FLY_REGISTRY_HOST, else Fly's own. Fly's registry accepts the API token as the password of user `x`. For others the Docker
 * engine's login is used.
 */
export function readRegistry(): Registry {
  const config = new pulumi.Config("fly");
  const server = config.get("registry") || process.env.FLY_REGISTRY_HOST || flyRegistry;
  if (server !== flyRegistry) return { server };
  const fromEnvironment = tokenFrom((name) => process.env[name]);
  const token = config.getSecret("token") ?? (fromEnvironment ? pulumi.secret(fromEnvironment) : undefined);
  return token ? { server, username: "x", password: pulumi.secret(token.apply(stripScheme)) } : { server };
}
