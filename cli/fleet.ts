/** The PoPs of a stack: those in its file and those on Fly. One API call. */

import type { PopConfig } from "../config/types.ts";
import type { Fly } from "../fly/api.ts";
import { type FlyError, ifNotFound, isLeased } from "../fly/errors.ts";
import { isLive } from "../fly/existence.ts";
import { metadataKeys } from "../fly/metadata.ts";
import type { Machine } from "../fly/wire.ts";
import { naturalOrder } from "../lib/order.ts";
import { CliError } from "./context.ts";
import { owns, type Stack } from "./stack.ts";

export interface PopObservation {
  name: string;
  region: string;
  /** Absent: it is in the stack file, but not on Fly. */
  machine?: Machine;
  /** Absent: it is on Fly, but not in the stack file, or the file is invalid. */
  wanted?: PopConfig;
}

export interface Fleet {
  app: string;
  fly: Fly;
  pops: PopObservation[];
  /** The stack file is invalid, so the PoPs it should have are unknown. */
  isConfigInvalid: boolean;
}

/** A PoP with a machine. */
export type DeployedPop = PopObservation & { machine: Machine };

export async function readFleet(stack: Stack): Promise<Fleet> {
  const { app, config } = stack.lenientConfig();
  const wanted = config?.pops ?? [];
  const fly = await stack.fly();
  const machines = await fly.listMachines(app).catch(ifNotFound([]));
  const ours = machines.filter((it) => isLive(it) && owns(stack, it.config?.metadata?.[metadataKeys.stack]));
  const byName = new Map(ours.map((it) => [it.config?.metadata?.[metadataKeys.pop] ?? it.name ?? it.id, it]));
  // Fly shows no metadata of machines on an unreachable host, so identify them by name.
  for (const it of machines)
    if (it.host_status === "unreachable" && it.name && !byName.has(it.name)) byName.set(it.name, it);
  const names = new Set([...wanted.map(({ name }) => name), ...byName.keys()]);
  const pops = [...names].toSorted(naturalOrder).map((name): PopObservation => {
    const machine = byName.get(name);
    const pop = wanted.find((it) => it.name === name);
    return {
      name,
      region: machine?.region ?? pop?.region ?? "",
      ...(machine && { machine }),
      ...(pop && { wanted: pop }),
    };
  });
  return { app, fly, pops, isConfigInvalid: config === undefined };
}

/** The deployed PoP of this name. Throws if there is none. */
export function popOf({ app, pops }: Fleet, name: string): DeployedPop {
  const pop = pops.find((it) => it.name === name);
  if (!pop)
    throw new CliError(
      `There is no PoP ${name}. PoPs in the stack file and in ${app}: ${pops.map((it) => it.name).join(", ")}.`,
    );
  if (!pop.machine)
    throw new CliError(
      `${name} is in the stack file, but ${app} has no machine for it yet. Deploy it: npx pulumi up --refresh`,
    );
  return pop as DeployedPop;
}

export const deployedPops = ({ pops }: Fleet): DeployedPop[] =>
  pops.filter((it): it is DeployedPop => it.machine !== undefined);

/** Fly runs no programs in a machine that is leased for a change. */
export class MachineLeasedError extends CliError {
  constructor(name: string, cause: FlyError) {
    super(
      `${name}: cannot run a program while its machine is being changed: ${cause.detail}. Run again after the change.`,
      { cause },
    );
  }
}

/** Runs a program in a PoP and returns its output. Throws a CliError if the machine is not running. */
export async function runIn(
  { app, fly }: Pick<Fleet, "app" | "fly">,
  { name, machine }: DeployedPop,
  command: string[],
  { seconds = 30, stdin }: { seconds?: number; stdin?: string | undefined } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  if (machine.state !== "started")
    throw new CliError(
      `${name}: not running, machine ${machine.id} is ${machine.state}. Start it: npx fly-pops start ${name}. Its last logs: npx fly-pops logs ${name}`,
    );
  const {
    exit_code = 0,
    exit_signal = 0,
    stdout,
    stderr,
  } = await fly.execMachine(app, machine.id, command, seconds, stdin).catch((error: unknown) => {
    throw isLeased(error) ? new MachineLeasedError(name, error) : error;
  });
  return { code: exit_signal > 0 ? 128 + exit_signal : exit_code, stdout: stdout ?? "", stderr: stderr ?? "" };
}
