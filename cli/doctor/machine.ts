/** What this machine has: Node, the Pulumi CLI and its plugins, Docker, the way into the registry. */
import { existsSync, readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import axios from "axios";
import { stripScheme } from "../../fly/http.ts";
import { flyRegistry } from "../../fly/registry.ts";
import { isLoopback } from "../../lib/loopback.ts";
import { engineReason, openDocker } from "../../local/docker/engine.ts";
import manifest from "../../package.json" with { type: "json" };
import { pulumiWorkspace } from "../../setup/pulumi-home.mjs";
import { pulumiRoot } from "../../stack/pulumi-cli.ts";
import type { CliContext } from "../context.ts";
import { runPulumi } from "../pulumi.ts";
import type { Finding } from "./finding.ts";

const bring = "Let setup install it: npm run setup -- --only";

/** Node is new enough, because it runs this TypeScript. The launcher decides which Node Pulumi takes from PATH. */
export const nodeCheck = (): Finding => ({ name: "Node", status: "ok", detail: process.version });

export async function pulumiCheck(context: CliContext): Promise<Finding> {
  const name = "Pulumi CLI";
  const wanted = `v${manifest.dependencies.pulumi}`;
  try {
    const { stdout, code } = await runPulumi(context, ["version"]);
    const version = stdout.trim();
    if (code === 0 && version === wanted) return { name, status: "ok", detail: version };
    return {
      name,
      status: "failed",
      detail: `${version || "does not start"}, tested is ${wanted}`,
      fix: `${bring} pulumi`,
    };
  } catch {
    return { name, status: "failed", detail: "not there", fix: `${bring} pulumi` };
  }
}

export function pluginChecks(context: CliContext): Finding[] {
  const bin = join(pulumiRoot(context.env), "bin", "pulumi-language-nodejs");
  const docker = join(
    pulumiWorkspace(context.env),
    "plugins",
    `resource-docker-v${manifest.dependencies["@pulumi/docker"]}`,
  );
  return [
    ["Pulumi's Node language host", bin],
    ["Pulumi's Docker plugin", docker],
  ].map(([name = "", path = ""]) =>
    existsSync(path)
      ? { name, status: "ok", detail: path }
      : { name, status: "failed", detail: `not at ${path}`, fix: `${bring} pulumi` },
  );
}

/** `platform`: what the image is built for. */
export async function dockerCheck(platform: string): Promise<Finding> {
  const name = "Docker";
  try {
    const { Version, Arch } = await openDocker().version();
    return { name, status: "ok", detail: `engine ${Version}, ${Arch}${emulated(Arch, platform)}` };
  } catch (error) {
    return {
      name,
      status: "failed",
      detail: engineReason(error),
      fix: `${bring} docker, or name a finished image: fly-pops:imageRef`,
    };
  }
}

/** Compilers have crashed under emulation. It is not an error, but the first thing to check when a build ends with a signal. */
export const emulated = (arch: string, platform: string): string =>
  platform === "host" || platform === `linux/${arch}`
    ? ""
    : `: ${platform} is emulated. If the build crashes: Docker Desktop's Rosetta instead of QEMU, an engine of that kind by DOCKER_HOST, or fly-pops:imageRef from CI`;

/** Asked as Docker itself asks: GET /v2/. Fly's own registry takes the API token as the password of user x. */
export async function registryCheck(context: CliContext, server: string, token: string | undefined): Promise<Finding> {
  const name = "registry";
  const own = server === flyRegistry;
  if (!own && hasLogin(context, server))
    return { name, status: "ok", detail: `${server}, the Docker engine is logged in` };
  const local = isLoopback(server);
  try {
    const { status } = await axios.get(`${local ? "http" : "https"}://${server}/v2/`, {
      validateStatus: () => true,
      timeout: 10_000,
      ...(local ? { proxy: false as const } : {}),
      ...(own && token ? { auth: { username: "x", password: stripScheme(token) } } : {}),
    });
    if (status === 200) return { name, status: "ok", detail: server };
    const fix = own
      ? "Fly's registry takes the API token: set a good one (npx pulumi config set --secret fly:token)"
      : `Log the Docker engine in: docker login ${server}`;
    return { name, status: "failed", detail: `${server} answers ${status}`, fix };
  } catch (error) {
    // Not the error itself: axios keeps the credential in it.
    const why = (error as { code?: string }).code ?? "no answer";
    return {
      name,
      status: "failed",
      detail: `${server} does not answer (${why})`,
      fix: "Check fly:registry or FLY_REGISTRY_HOST, and the network. For the local stack: npm run local",
    };
  }
}

/** What `docker login` left: an entry, or a helper that keeps it. */
function hasLogin(context: CliContext, server: string): boolean {
  const dir = context.env.DOCKER_CONFIG ?? join(context.env.HOME ?? homedir(), ".docker");
  try {
    const config = JSON.parse(readFileSync(join(dir, "config.json"), "utf8")) as Record<
      string,
      Record<string, unknown>
    >;
    return config.auths?.[server] !== undefined || config.credHelpers?.[server] !== undefined;
  } catch {
    return false;
  }
}
