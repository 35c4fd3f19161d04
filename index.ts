/** The program: the stack file says what there is to be, Edge makes it so. */
import * as pulumi from "@pulumi/pulumi";
import { Edge } from "./components/edge.ts";
import { readConfig, readRegistry } from "./config.ts";

const owner = `${pulumi.getOrganization()}/${pulumi.getProject()}/${pulumi.getStack()}`;
const edge = new Edge("edge", { ...readConfig(), registry: readRegistry(), owner });

/** Name of the Fly app. */
export const app = edge.app;
/** Anycast addresses by type: point the sites' A and AAAA records here. */
export const addresses = edge.addresses;
/** Image all PoPs run, pinned by digest. */
export const image = edge.image;
/** PoPs by name: region, machine and the version that runs. */
export const pops = Object.fromEntries(
  Object.entries(edge.pops).map(([name, { region, machineId, version }]) => [name, { region, machineId, version }]),
);
