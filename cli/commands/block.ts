/**
 * `block`, `unblock`, `blocked`: addresses that every PoP answers with 403 for a time. `pop block` in each PoP (image/pop/blocked.go) writes a file on its volume
 * that nginx reads by itself: nothing is deployed or reloaded. A PoP that cannot be reached is named, and not blocked there.
 */
import { z } from "zod";
import { networkProblem } from "../../config/names.ts";
import { parseNetwork } from "../../image/render/networks.ts";
import { table } from "../../local/table.ts";
import { askAll, jsonOf } from "../ask-in.ts";
import { type Fleet, livePops, readFleet } from "../fleet.ts";
import type { Stack } from "../stack.ts";
import { tint } from "../style.ts";
import { type ExitCode, print, printJson, Refusal, type World } from "../world.ts";

export interface Blocked {
  /** With its bits. */
  address: string;
  /** When its last block ends, ISO 8601. */
  until: string;
  /** Where it is blocked. */
  pops: string[];
}

export interface BlockedPops {
  blocked: Blocked[];
  /** PoPs that were asked in vain: what they block is not known, and not changed. */
  unreached: { pop: string; reason: string }[];
}

export async function block(
  world: World,
  stack: Stack,
  addresses: string[],
  { for: seconds, json }: { for: number; json?: boolean },
): Promise<ExitCode> {
  const all = addresses.map((it) => visitors("block", it));
  const found = await inEach(await readFleet(stack), ["block", "--for", String(seconds), ...all]);
  // `found` has all that is blocked: what was asked for is told.
  const told = { ...found, blocked: found.blocked.filter(({ address }) => all.includes(address)) };
  if (json) printJson(world, told);
  else print(world, blockedText(world, told, "Nothing was blocked."));
  return told.unreached.length > 0 ? 3 : 0;
}

export async function unblock(
  world: World,
  stack: Stack,
  addresses: string[],
  { all = false, json }: { all?: boolean; json?: boolean },
): Promise<ExitCode> {
  if (all === addresses.length > 0)
    throw new Refusal("unblock: takes addresses, or --all for every one that is blocked.", { code: 2 });
  const ended = addresses.map((it) => visitors("unblock", it));
  const left = await inEach(await readFleet(stack), ["unblock", ...(all ? ["--all"] : ended)]);
  if (json) printJson(world, left);
  else print(world, blockedText(world, left, "No address is blocked any more."));
  return left.unreached.length > 0 ? 3 : 0;
}

export async function blocked(world: World, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const found = await inEach(await readFleet(stack), ["blocked"]);
  if (json) printJson(world, found);
  else print(world, blockedText(world, found, "No address is blocked."));
  return found.unreached.length > 0 ? 3 : 0;
}

/** What an address on the command line stands for: an IPv6 visitor has a /64, and can use any address of it. */
function visitors(command: string, text: string): string {
  const given = parseNetwork(text);
  const meant = given?.endsWith("/128") && !text.includes("/") ? parseNetwork(`${text}/64`) : given;
  if (meant === undefined)
    throw new Refusal(`${command}: ${JSON.stringify(text)} is not blocked: ${networkProblem(text)}.`, { code: 2 });
  const bits = Number(meant.split("/")[1]);
  const least = meant.includes(":") ? 16 : 8;
  if (bits < least)
    throw new Refusal(`${command}: ${meant} is too large a network. The largest one that is blocked is a /${least}.`, {
      code: 2,
    });
  return meant;
}

/** As `pop block`, `pop unblock` and `pop blocked` print it. */
const Blocks = z.array(z.object({ address: z.string(), until: z.number() }));

/** A command in all PoPs at once, and what each blocks afterwards. */
async function inEach(fleet: Fleet, command: string[]): Promise<BlockedPops> {
  if (livePops(fleet).length === 0)
    throw new Refusal(`${fleet.app} has no PoP yet. Deploy one: npx pulumi up --refresh`);
  const answers = await askAll(fleet, ["/usr/bin/pop", ...command], {
    name: `pop ${command[0]}`,
    seconds: 10,
    parse: jsonOf(Blocks),
  });
  const addresses = new Map<string, { until: number; pops: string[] }>();
  for (const { pop, value = [] } of answers)
    for (const { address, until } of value) {
      const { pops = [], until: other = 0 } = addresses.get(address) ?? {};
      addresses.set(address, { until: Math.max(until, other), pops: [...pops, pop] });
    }
  return {
    blocked: [...addresses].map(([address, { until, pops }]) => ({
      address,
      until: new Date(until * 1000).toISOString(),
      pops,
    })),
    unreached: [
      ...answers.flatMap(({ pop, reason }) => (reason === undefined ? [] : [{ pop, reason }])),
      ...fleet.pops.flatMap(({ name, machine }) =>
        machine ? [] : [{ pop: name, reason: `${fleet.app} has no machine for it yet` }],
      ),
    ],
  };
}

function blockedText(world: World, { blocked, unreached }: BlockedPops, none: string): string {
  const rows = blocked.map(({ address, until, pops }) => [
    address,
    `${until.slice(0, 16).replace("T", " ")} UTC`,
    pops.join(" "),
  ]);
  const head = ["address", "blocked until", "PoPs"].map((cell) => tint(world, "head", cell));
  const missed = unreached.map(({ pop, reason }) => tint(world, "warning", `${pop}: not reached, ${reason}`));
  return [
    ...(rows.length > 0 ? [table([head, ...rows])] : unreached.length === 0 ? [none] : []),
    ...(rows.length > 0 && missed.length > 0 ? [""] : []),
    ...missed,
    ...(missed.length > 0 ? ["Run the command again when they are back: it changes nothing where it was done."] : []),
  ].join("\n");
}
