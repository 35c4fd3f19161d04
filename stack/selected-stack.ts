/** The stack chosen by `pulumi stack select`, read from the CLI's files, which is half a second faster than running the CLI. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pulumiWorkspace } from "../setup/pulumi-home.mjs";

type Env = Readonly<Record<string, string | undefined>>;

/**
 * As the CLI accepts it after --stack. Undefined: only the CLI knows, as for backends in the project file, or with another spelling of the backend's URL.
 * https://github.com/pulumi/pulumi/blob/v3.259.0/sdk/go/common/workspace/workspace.go
 * @param project name in Pulumi.yaml
 */
export function selectedStack(dir: string, project: string, env: Env): string | undefined {
  const home = pulumiWorkspace(env);
  const backend = env.PULUMI_BACKEND_URL || (namesBackend(dir) ? undefined : currentBackend(home));
  const path = createHash("sha1").update(join(dir, "Pulumi.yaml")).digest("hex");
  const { stacks } = json(join(home, "workspaces", `${project}-${path}-workspace.json`)) as {
    stacks?: Record<string, unknown>;
  };
  const chosen = backend === undefined ? undefined : stacks?.[backend];
  if (typeof chosen !== "string" || chosen === "") return undefined;
  // Backends without organizations use this name for theirs, and the CLI does not show it.
  return chosen.startsWith(`organization/${project}/`) ? chosen.split("/").at(-1) : chosen;
}

const namesBackend = (dir: string): boolean => /^backend\s*:/m.test(readFileSync(join(dir, "Pulumi.yaml"), "utf8"));

/** The backend of the last `pulumi login`. */
function currentBackend(home: string): string | undefined {
  const { current } = json(join(home, "credentials.json")) as { current?: unknown };
  return typeof current === "string" && current !== "" ? current : undefined;
}

/** An empty object if the file does not exist or is not JSON. */
function json(path: string): object {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as object;
  } catch {
    return {};
  }
}
