/**
 * `block`, `unblock`, `blocked`: addresses that every PoP answers with 403 for a limited time. `pop block` in each PoP (image/pop/block/block.go) writes a file
 * on its volume that nginx reads, without a deployment or reload. A PoP that cannot be reached is reported, and the block does not apply there.
 */
import { z } from "zod";
import { networkProblem } from "../../config/validators.ts";
import { parseNetwork } from "../../image/render/networks.ts";
import { table } from "../../lib/table.ts";
import { type CliContext, CliError, type ExitCode, print, printJson } from "../context.ts";
import { deployedPops, type Fleet, readFleet } from "../fleet.ts";
import { jsonOf, queryAllPops } from "../pop-query.ts";
import type { Stack } from "../stack.ts";
import { styled } from "../style.ts";

export interface Blocked {
  /** With its prefix length. */
  address: string;
  /** When its last block ends, ISO 8601. */
  until: string;
  /** Where it is blocked. */
  pops: string[];
}

export interface BlockedPops {
  blocked: Blocked[];
  /** PoPs that could not be reached: their blocks are unknown and unchanged. */
  unreached: { pop: string; reason: string }[];
}

export async function block(
  context: CliContext,
  stack: Stack,
  addresses: string[],
  { for: seconds, json }: { for: number; json?: boolean },
): Promise<ExitCode> {
  const all = addresses.map((it) => blockableNetwork("block", it));
  const found = await runInAllPops(await readFleet(stack), ["block", "--for", String(seconds), ...all]);
  // `found` has all blocks. Show only the requested ones.
  const shown = { ...found, blocked: found.blocked.filter(({ address }) => all.includes(address)) };
  if (json) printJson(context, shown);
  else print(context, blockedText(context, shown, "Nothing was blocked."));
  return shown.unreached.length > 0 ? 3 : 0;
}

export async function unblock(
  context: CliContext,
  stack: Stack,
  addresses: string[],
  { all = false, json }: { all?: boolean; json?: boolean },
): Promise<ExitCode> {
  if (all === addresses.length > 0)
    throw new CliError("unblock: expected addresses, or --all for all blocked addresses.", { code: 2 });
  const ended = addresses.map((it) => blockableNetwork("unblock", it));
  const left = await runInAllPops(await readFleet(stack), ["unblock", ...(all ? ["--all"] : ended)]);
  if (json) printJson(context, left);
  else print(context, blockedText(context, left, "No address is blocked now."));
  return left.unreached.length > 0 ? 3 : 0;
}

export async function blocked(context: CliContext, stack: Stack, { json }: { json?: boolean }): Promise<ExitCode> {
  const found = await runInAllPops(await readFleet(stack), ["blocked"]);
  if (json) printJson(context, found);
  else print(context, blockedText(context, found, "No address is blocked."));
  return found.unreached.length > 0 ? 3 : 0;
}

/** The network to block for an address. An IPv6 visitor can use any address of their /64. */
function blockableNetwork(command: string, text: string): string {
  const given = parseNetwork(text);
  const meant = given?.endsWith("/128") && !text.includes("/") ? parseNetwork(`${text}/64`) : given;
  if (meant === undefined)
    throw new CliError(`${command}: ${JSON.stringify(text)} cannot be blocked: ${networkProblem(text)}.`, { code: 2 });
  const bits = Number(meant.split("/")[1]);
  const least = meant.includes(":") ? 16 : 8;
  if (bits < least)
    throw new CliError(`${command}: ${meant} is too large. The largest network that can be blocked is a /${least}.`, {
      code: 2,
    });
  return meant;
}

/** The output of `pop block`, `pop unblock` and `pop blocked`. */
const Blocks = z.array(z.object({ address: z.string(), until: z.number() }));

/** Runs a command in all PoPs concurrently, and returns what each blocks afterwards. */
async function runInAllPops(fleet: Fleet, command: string[]): Promise<BlockedPops> {
  if (deployedPops(fleet).length === 0)
    throw new CliError(`${fleet.app} has no PoP yet. Deploy one: npx pulumi up --refresh`);
  const answers = await queryAllPops(fleet, ["/usr/bin/pop", ...command], {
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

function blockedText(context: CliContext, { blocked, unreached }: BlockedPops, none: string): string {
  const rows = blocked.map(({ address, until, pops }) => [
    address,
    `${until.slice(0, 16).replace("T", " ")} UTC`,
    pops.join(" "),
  ]);
  const head = ["address", "blocked until", "PoPs"].map((cell) => styled(context, "head", cell));
  const missed = unreached.map(({ pop, reason }) => styled(context, "warning", `${pop}: not reached, ${reason}`));
  return [
    ...(rows.length > 0 ? [table([head, ...rows])] : unreached.length === 0 ? [none] : []),
    ...(rows.length > 0 && missed.length > 0 ? [""] : []),
    ...missed,
    ...(missed.length > 0 ? ["Run the command again when they are back. Where it succeeded, it changes nothing."] : []),
  ].join("\n");
}
