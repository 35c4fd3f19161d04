/** The PoPs of a stack: what its file wants beside what Fly has. One call. */
import type { PopConfig } from "../config/types.ts";
import type { Fly } from "../providers/fly/api.ts";
import { type FlyError, ifNotFound, isLeased } from "../providers/fly/errors.ts";
import { isLive } from "../providers/fly/existence.ts";
import { ownerKeys } from "../providers/fly/owner.ts";
import type { Machine } from "../providers/fly/wire.ts";
import { owns, type Stack } from "./stack.ts";
import { Refusal } from "./world.ts";

export interface PopSeen {
  name: string;
  region: string;
  /** Absent: the stack file wants it, Fly has none. */
  machine?: Machine;
  /** Absent: Fly has it, and the stack file does not want it, or has mistakes. */
  wanted?: PopConfig;
}

export interface Fleet {
  app: string;
  fly: Fly;
  pops: PopSeen[];
  /** The stack file has mistakes, so that nobody knows what it wants. */
  unread: boolean;
}

/** A PoP with a machine. */
export type LivePop = PopSeen & { machine: Machine };

export async function readFleet(stack: Stack): Promise<Fleet> {
  const { app, config } = stack.wanted();
  const wanted = config?.pops ?? [];
  const fly = await stack.fly();
  const machines = await fly.listMachines(app).catch(ifNotFound([]));
  const ours = machines.filter((it) => isLive(it) && owns(stack, it.config?.metadata?.[ownerKeys.stack]));
  const byName = new Map(ours.map((it) => [it.config?.metadata?.[ownerKeys.pop] ?? it.name ?? it.id, it]));
  // A host that does not answer keeps its machines' metadata to itself; the name says whose they are.
  for (const it of machines)
    if (it.host_status === "unreachable" && it.name && !byName.has(it.name)) byName.set(it.name, it);
  const names = new Set([...wanted.map(({ name }) => name), ...byName.keys()]);
  const pops = [...names].toSorted(inOrder).map((name): PopSeen => {
    const machine = byName.get(name);
    const pop = wanted.find((it) => it.name === name);
    return {
      name,
      region: machine?.region ?? pop?.region ?? "",
      ...(machine && { machine }),
      ...(pop && { wanted: pop }),
    };
  });
  return { app, fly, pops, unread: config === undefined };
}

const inOrder = new Intl.Collator("en", { numeric: true }).compare;

/** The PoP of this name, deployed. */
export function popOf({ app, pops }: Fleet, name: string): LivePop {
  const pop = pops.find((it) => it.name === name);
  if (!pop)
    throw new Refusal(`There is no PoP ${name}. Stack file and ${app} have: ${pops.map((it) => it.name).join(", ")}.`);
  if (!pop.machine)
    throw new Refusal(
      `${name}: stands in the stack file, but ${app} has no machine for it yet. Deploy it: npx pulumi up --refresh`,
    );
  return pop as LivePop;
}

export const livePops = ({ pops }: Fleet): LivePop[] => pops.filter((it): it is LivePop => it.machine !== undefined);

/** Fly runs nothing in a machine that somebody has leased out to change it. */
export class Leased extends Refusal {
  constructor(name: string, cause: FlyError) {
    super(
      `${name}: nothing can be run in it while its machine is being changed: ${cause.detail}. Run again when that is done.`,
      { cause },
    );
  }
}

/** Runs a program in a PoP and returns what it wrote. Refused in one sentence when the machine does not run. */
export async function runIn(
  { app, fly }: Pick<Fleet, "app" | "fly">,
  { name, machine }: LivePop,
  command: string[],
  { seconds = 30, stdin }: { seconds?: number; stdin?: string | undefined } = {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  if (machine.state !== "started")
    throw new Refusal(
      `${name}: nothing runs in it, machine ${machine.id} is ${machine.state}. Start it: npx fly-pops start ${name}. What it said last: npx fly-pops logs ${name}`,
    );
  const {
    exit_code = 0,
    exit_signal = 0,
    stdout,
    stderr,
  } = await fly.execMachine(app, machine.id, command, seconds, stdin).catch((error: unknown) => {
    throw isLeased(error) ? new Leased(name, error) : error;
  });
  return { code: exit_signal > 0 ? 128 + exit_signal : exit_code, stdout: stdout ?? "", stderr: stderr ?? "" };
}
