/** The checks of `doctor` in the order of need: what a later one takes, an earlier one has looked at. */
import type { EdgeConfig } from "../../config/types.ts";
import { namesOf } from "../../image/render/hosts.ts";
import type { CliContext } from "../context.ts";
import { readRegistryName } from "../registry.ts";
import { openStack, type Stack } from "../stack.ts";
import { ordersChecks, vaultChecks } from "./certificates.ts";
import type { Finding } from "./finding.ts";
import { appCheck, egressCheck, hostsCheck, roomChecks, tokenCheck } from "./fly.ts";
import { dockerCheck, nodeCheck, pluginChecks, pulumiCheck, registryCheck } from "./machine.ts";
import { secretsChecks } from "./secrets.ts";
import { tailnetChecks } from "./tailnet.ts";

export async function checks(context: CliContext, asked: string | undefined): Promise<Finding[]> {
  const [node, pulumi, plugins] = [nodeCheck(), await pulumiCheck(context), pluginChecks(context)];
  const found = await stackCheck(context, asked);
  const ofStack = found.stack && found.edge ? await stackChecks(context, found.stack, found.edge) : [];
  return [node, pulumi, ...plugins, ...found.findings, ...ofStack];
}

async function stackChecks(context: CliContext, stack: Stack, edge: EdgeConfig): Promise<Finding[]> {
  const builds = edge.imageRef === undefined;
  const skipped = (name: string): Finding => ({
    name,
    status: "skipped",
    detail: "nothing is built: the stack file names its image (fly-pops:imageRef)",
  });
  const { finding: token, fly } = await tokenCheck(stack, edge);
  const ofFly = fly
    ? [
        await appCheck(fly, stack, edge),
        ...(await roomChecks(fly, edge)),
        await hostsCheck(fly, edge),
        await egressCheck(fly, edge),
      ]
    : [{ name: "Fly app", status: "skipped" as const, detail: "cannot be checked before that is fixed" }];
  const registry = readRegistryName(stack);
  return [
    token,
    ...ofFly,
    builds ? await dockerCheck(edge.imagePlatform) : skipped("Docker"),
    builds
      ? await registryCheck(context, registry, fly === undefined ? undefined : (await stack.settings()).token)
      : skipped("registry"),
    ...(await secretsChecks(context, stack, edge)),
    ...(await tailnetChecks(stack, edge)),
    ...ordersChecks(edge),
    ...(await vaultChecks(context, stack, edge, fly !== undefined)),
  ];
}

async function stackCheck(
  context: CliContext,
  asked: string | undefined,
): Promise<{ findings: Finding[]; stack?: Stack; edge?: EdgeConfig }> {
  let stack: Stack;
  try {
    stack = await openStack(context, asked);
  } catch (error) {
    return {
      findings: [{ name: "stack", status: "failed", detail: "none to look at", fix: (error as Error).message }],
    };
  }
  const selected: Finding = { name: "stack", status: "ok", detail: stack.reference };
  try {
    const edge = stack.config();
    const { sites } = edge.image;
    const names = sites.flatMap(namesOf).length;
    const detail = `${edge.pops.length} PoPs, ${sites.length} sites${names > sites.length ? ` with ${names} names` : ""}`;
    return { findings: [selected, { name: "stack file", status: "ok", detail }], stack, edge };
  } catch (error) {
    const fix = (error as Error).message;
    return { findings: [selected, { name: "stack file", status: "failed", detail: "has mistakes", fix }], stack };
  }
}
