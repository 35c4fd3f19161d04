/**
 * `ssh`: OpenSSH's client over the tailnet. The host key comes from the stack's outputs, where the provider that saw it born put it: the first
 * connection is as safe as the hundredth, and what does not match is refused.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { handOver, onPath, quoted } from "../hand-over.ts";
import { askPulumi } from "../pulumi.ts";
import { isLocal, type Stack } from "../stack.ts";
import { Refusal, type World } from "../world.ts";

export interface SshOptions {
  /** For OpenSSH as they are, e.g. ProxyJump=host. */
  option: string[];
}

export async function ssh(
  world: World,
  stack: Stack,
  name: string,
  command: string[],
  { option }: SshOptions,
): Promise<number> {
  const { config } = stack.wanted();
  if (config && !config.pops.some((pop) => pop.name === name))
    throw new Refusal(`There is no PoP ${name} in the stack file: ${config.pops.map((pop) => pop.name).join(", ")}.`);
  if (config && !config.image.ssh)
    throw new Refusal(
      `${name}: no SSH server runs in it, the stack file has no fly-pops:ssh. Set it (docs/config.md) and deploy, or do without: npx fly-pops console ${name}`,
    );
  const loose = option.find((it) =>
    /^(stricthostkeychecking|userknownhostsfile|globalknownhostsfile|hostkeyalias)\b/i.test(it),
  );
  if (loose !== undefined)
    throw new Refusal(
      `--option ${loose} would give up the check of the host key, and is not taken. Nothing was done.`,
      {
        code: 2,
      },
    );
  const program = onPath(world, "ssh");
  if (program === undefined) throw new Refusal("OpenSSH's client is not on PATH. Install it, then run again.");
  const line = await knownHost(world, stack, name);
  const host = hostOf(line);
  const folder = mkdtempSync(join(tmpdir(), "fly-pops-ssh-"));
  try {
    const file = join(folder, "known_hosts");
    writeFileSync(file, `${line}\n`, { mode: 0o600 });
    return await handOver(world, program, [
      ...["StrictHostKeyChecking=yes", `UserKnownHostsFile=${file}`, "GlobalKnownHostsFile=/dev/null"].flatMap(
        asOption,
      ),
      ...["UpdateHostKeys=no", "VerifyHostKeyDNS=no", "CheckHostIP=no", "HostKeyAlgorithms=ssh-ed25519"].flatMap(
        asOption,
      ),
      // OpenSSH takes the first value of an option: the user's go before ours.
      ...option.flatMap(asOption),
      ...(isLocal(world, stack.name) ? asOption(`ProxyCommand=${intoLocalTailnet}`) : []),
      "-l",
      "root",
      host,
      ...(command.length > 0 ? ["--", ...command] : []),
    ]);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

const intoLocalTailnet = [
  ...[process.execPath, join(import.meta.dirname, "..", "..", "local", "homelab", "ssh-proxy.ts")].map(quoted),
  "%h",
  "%p",
].join(" ");

const asOption = (text: string): string[] => ["-o", text];

/** The PoP's line of known_hosts as the stack's output has it. */
async function knownHost(world: World, stack: Stack, name: string): Promise<string> {
  const text = await askPulumi(
    world,
    `${name}: its host key could not be read from the stack's outputs`,
    ["stack", "output", "--json", "--stack", stack.reference],
    stack.env,
  );
  const { knownHosts } = JSON.parse(text) as { knownHosts?: Record<string, unknown> };
  const line = knownHosts?.[name];
  if (typeof line === "string" && line.trim() !== "" && !line.includes("\n")) return line.trim();
  throw new Refusal(
    `${name}: stack ${stack.name} has no host key of it among its outputs (knownHosts), and an unknown host is not connected to. Deploy the stack once more: npx pulumi up`,
  );
}

/** The first name of the line; OpenSSH writes one with a port in brackets. */
const hostOf = (line: string): string => (line.split(/[ ,]/)[0] ?? "").replace(/^\[(.*)\]:\d+$/, "$1");
