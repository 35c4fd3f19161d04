/**
 * `ssh`: the OpenSSH client over the tailnet. The host key comes from the stack's outputs, stored by the provider when the key was created, so even the first
 * connection is verified.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CliContext, CliError } from "../context.ts";
import { execInherit, findOnPath, shellQuote } from "../exec-inherit.ts";
import { pulumiOutput } from "../pulumi.ts";
import { isLocal, type Stack } from "../stack.ts";

export interface SshOptions {
  /** Passed to OpenSSH unchanged, e.g. ProxyJump=host. */
  option: string[];
}

export async function ssh(
  context: CliContext,
  stack: Stack,
  name: string,
  command: string[],
  { option }: SshOptions,
): Promise<number> {
  const { config } = stack.lenientConfig();
  if (config && !config.pops.some((pop) => pop.name === name))
    throw new CliError(`There is no PoP ${name} in the stack file: ${config.pops.map((pop) => pop.name).join(", ")}.`);
  if (config && !config.image.ssh)
    throw new CliError(
      `${name}: it has no SSH server, because fly-pops:ssh is not set. Set it (docs/config.md) and deploy, or use instead: npx fly-pops console ${name}`,
    );
  const loose = option.find((it) =>
    /^(stricthostkeychecking|userknownhostsfile|globalknownhostsfile|hostkeyalias)\b/i.test(it),
  );
  if (loose !== undefined)
    throw new CliError(`--option ${loose} would disable the host key check, which is not allowed. Nothing was done.`, {
      code: 2,
    });
  const program = findOnPath(context, "ssh");
  if (program === undefined) throw new CliError("The OpenSSH client (ssh) is not on PATH. Install it, then run again.");
  const line = await knownHost(context, stack, name);
  const host = hostOf(line);
  const tempDir = mkdtempSync(join(tmpdir(), "fly-pops-ssh-"));
  try {
    const file = join(tempDir, "known_hosts");
    writeFileSync(file, `${line}\n`, { mode: 0o600 });
    return await execInherit(context, program, [
      ...["StrictHostKeyChecking=yes", `UserKnownHostsFile=${file}`, "GlobalKnownHostsFile=/dev/null"].flatMap(
        asOption,
      ),
      ...["UpdateHostKeys=no", "VerifyHostKeyDNS=no", "CheckHostIP=no", "HostKeyAlgorithms=ssh-ed25519"].flatMap(
        asOption,
      ),
      // OpenSSH uses the first value of an option. The options above must not be overridden; the user's come before the rest.
      ...option.flatMap(asOption),
      ...(isLocal(context, stack.name) ? asOption(`ProxyCommand=${intoLocalTailnet}`) : []),
      "-l",
      "root",
      host,
      ...(command.length > 0 ? ["--", ...command] : []),
    ]);
  } finally {
    rmSync(tempDir, { recursive: true, force: true });
  }
}

const intoLocalTailnet = [
  ...[process.execPath, join(import.meta.dirname, "..", "..", "local", "homelab", "ssh-proxy.ts")].map(shellQuote),
  "%h",
  "%p",
].join(" ");

const asOption = (text: string): string[] => ["-o", text];

/** The PoP's known_hosts line in the stack's outputs. */
async function knownHost(context: CliContext, stack: Stack, name: string): Promise<string> {
  const text = await pulumiOutput(
    context,
    `${name}: could not read its host key from the stack's outputs`,
    ["stack", "output", "--json", "--stack", stack.reference],
    stack.env,
  );
  const { knownHosts } = JSON.parse(text) as { knownHosts?: Record<string, unknown> };
  const line = knownHosts?.[name];
  if (typeof line === "string" && line.trim() !== "" && !line.includes("\n")) return line.trim();
  throw new CliError(
    `${name}: stack ${stack.name} has no host key for it in its outputs (knownHosts), and fly-pops does not connect to unknown hosts. Deploy the stack again: npx pulumi up`,
  );
}

/** The first name of the line. OpenSSH puts a name with a port in brackets. */
const hostOf = (line: string): string => (line.split(/[ ,]/)[0] ?? "").replace(/^\[(.*)\]:\d+$/, "$1");
