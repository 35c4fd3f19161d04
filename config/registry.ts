/** Where the image is pushed to, and by whom. */
import * as pulumi from "@pulumi/pulumi";
import { stripScheme } from "../providers/fly/http.ts";
import { tokenFrom } from "../providers/settings.ts";

export interface Registry {
  /** host or host:port */
  server: string;
  /** Absent: as the Docker engine is logged in. */
  username?: string;
  /** Secret. */
  password?: pulumi.Output<string>;
}

const flyRegistry = "registry.fly.io";

/** `fly:registry`, else FLY_REGISTRY_HOST, else Fly's own. Fly's takes the API token as the password of user `x`; others use the engine's own login. */
export function readRegistry(): Registry {
  const config = new pulumi.Config("fly");
  const server = config.get("registry") || process.env.FLY_REGISTRY_HOST || flyRegistry;
  if (server !== flyRegistry) return { server };
  const fromEnvironment = tokenFrom((name) => process.env[name]);
  const token = config.getSecret("token") ?? (fromEnvironment ? pulumi.secret(fromEnvironment) : undefined);
  return token ? { server, username: "x", password: pulumi.secret(token.apply(stripScheme)) } : { server };
}
