/** The program: creates an Edge from the stack file. */
import * as pulumi from "@pulumi/pulumi";
import { estimate, trafficOf } from "./components/cost.ts";
import { Edge } from "./components/edge.ts";
import { failIfSkipped, warnOfSharedHosts } from "./components/hosts.ts";
import type { Pop } from "./components/pop.ts";
import { configWarnings } from "./config/warnings.ts";
import { readAssumedContext, readConfig, readRegistry } from "./config.ts";

// Pulumi writes out a stack trace with every promise it makes, and has them go through source maps. TypeScript that runs directly has none: Node's own
// traces say the same, and a preview of a hundred PoPs takes a fifth less.
Reflect.deleteProperty(Error, "prepareStackTrace");

const owner = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
const config = readConfig();
for (const warning of configWarnings(config, pulumi.getStack())) pulumi.log.warn(warning);
const edge = new Edge("edge", { ...config, registry: readRegistry(), assumedContext: readAssumedContext(), owner });
failIfSkipped(edge.pops);
warnOfSharedHosts(edge.pops);

/** Name of the Fly app. */
export const app = edge.app;
/** Anycast addresses by type: point the sites' A and AAAA records here. */
export const addresses = edge.addresses;
/** Image all PoPs run, pinned by digest. */
export const image = edge.image;
/** PoPs by name: region, machine and running version. */
export const pops = Object.fromEntries(
  Object.entries(edge.pops).map(([name, { region, machineId, version }]) => [name, { region, machineId, version }]),
);
/** The recipient that each PoP's secrets are encrypted for, by PoP, in the form that sops takes as --age. Empty in a stack without secrets. */
export const recipients = byPop(({ recipient }) => recipient);
/** known_hosts lines by PoP, for SSH clients. Empty in a stack without secrets. */
export const knownHosts = byPop(({ knownHosts }) => knownHosts);

const { monthly, currency, crawlers, assumptions } = estimate(config);
/**
 * Estimated cost per month by Fly's list prices, and the assumptions of that estimate. The next preview uses `traffic` to estimate the bill before its
 * changes.
 */
export const cost = { monthly, currency, crawlers, traffic: trafficOf(config), assumptions };

function byPop(of: (pop: Pop) => pulumi.Output<string> | undefined): Record<string, pulumi.Output<string>> {
  return Object.fromEntries(
    Object.entries(edge.pops).flatMap(([name, pop]) => {
      const value = of(pop);
      return value === undefined ? [] : [[name, value]];
    }),
  );
}
