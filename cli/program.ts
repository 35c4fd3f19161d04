/** The command line: commands, arguments, options and their descriptions. docs/cli.md, the help and the completion are generated from it. */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { parseSeconds as secondsOf } from "../config/duration.ts";
import manifest from "../package.json" with { type: "json" };
import { shells } from "./completion.ts";
import { type CliContext, CliError, type ExitCode, print } from "./context.ts";
import { addExamples } from "./examples.ts";
import { findCommand } from "./help.ts";
import type { Stack } from "./stack.ts";

/** Exit code of a command. `exec`, `console` and `ssh` exit with the code of the program they ran. */
export type Code = ExitCode | number;

/** `ended` gets the exit code of the command that ran. A command's file is loaded only when it runs, to keep startup fast. */
export function createProgram(context: CliContext, ended: (code: Code) => void): Command {
  const program = new Command("fly-pops")
    .description("Operate the PoPs of a stack, on Fly and on local Fly.")
    .version(manifest.version, "-V, --version", "print the version")
    .addOption(new Option("-v", "print the version").hideHelp())
    .addOption(stackOption())
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .showHelpAfterError("(run with --help for what is understood)")
    .enablePositionalOptions()
    .on("option:v", () => {
      print(context, manifest.version);
      throw new CommanderError(0, "commander.version", manifest.version);
    })
    // --stack is accepted before the command too. After the command it takes precedence.
    .hook("preAction", (_, command) => {
      const asked = stackBefore(command);
      if (asked !== undefined && takesStack(command)) command.setOptionValue("stack", asked);
    });

  const open = async ({ stack }: { stack?: string }): Promise<Stack> =>
    (await import("./stack.ts")).openStack(context, stack);
  /** A command on one stack. */
  const onStack = (text: string, description: string, parent = program) =>
    parent.command(text).description(description).addOption(stackOption());
  const json = "print JSON instead of a table";

  program.commandsGroup("Inspect:");
  onStack(
    "status",
    "addresses and DNS, then one row per PoP: state, version, image and its build context, checks, tailnet, certificates, memory, cache hits",
  )
    .option("--json", json)
    .option("-w, --watch", "refresh until Ctrl-C")
    .option("--interval <seconds>", "time between refreshes", seconds(0.1, 3600), 2)
    .action(async (options) => {
      const { status } = await import("./commands/status.ts");
      ended(await status(context, await open(options), options));
    });
  onStack("logs", "logs of PoPs: the last hundred lines, or those selected by options")
    .argument("[pop]", "PoP, e.g. cdg-1 (default: all)")
    .option("-f, --follow", "follow until Ctrl-C, even if Fly is temporarily unreachable")
    .option(
      "-n, --lines <count>",
      "show the last N lines (default: about 100; with --since: all)",
      wholeNumber(1, 100_000),
    )
    .option("--since <time>", "only lines since then: 90s, 10m, 2h or 7d ago, or a time such as 2026-03-01T02:00:00Z")
    .option("--process <name>", "only lines of this process, e.g. nginx, and process-compose's lines about it")
    .option("--site <host>", "only requests to this site, and nginx's messages about it")
    .option("--errors", "only failures: responses with 500 and above, nginx's errors, other processes' errors")
    .option("--json", "print one JSON object per line")
    .action(async (pop, options) => {
      const { logs } = await import("./commands/logs.ts");
      ended(await logs(context, await open(options), pop, options));
    });
  onStack(
    "top",
    "current traffic by PoP and site: requests and 5xx per second, cache hits, 95th percentile of durations",
  )
    .option("--json", json)
    .option("-w, --watch", "refresh until Ctrl-C")
    .option("-n, --limit <count>", "refresh N times, then exit", wholeNumber(1, 1_000_000))
    .option("--interval <seconds>", "time between refreshes, over which rates are measured", seconds(0.1, 3600), 2)
    .action(async (options) => {
      const { top } = await import("./commands/top.ts");
      ended(await top(context, await open(options), options));
    });
  onStack("processes", "processes of a PoP, with their status and restarts")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .option("--json", json)
    .action(async (pop, options) => {
      const { processes } = await import("./commands/processes.ts");
      ended(await processes(context, await open(options), pop, options));
    });
  onStack("config", "configuration files of a PoP, as rendered from the stack file")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[file...]", "only these files, by full path or its end, e.g. nginx.conf")
    .option("--live", "show the files in the running PoP instead")
    .option("--diff", "show differences between the running PoP and the stack file")
    .option("--json", json)
    .action(async (pop, files, options) => {
      const { config } = await import("./commands/config.ts");
      ended(await config(context, await open(options), pop, files, options));
    });
  onStack("nginx-test", "run nginx -t: check that nginx can load its configuration and certificates")
    .argument("[pop]", "PoP, e.g. cdg-1 (default: all)")
    .option("--json", json)
    .action(async (pop, options) => {
      const { nginxTest } = await import("./commands/nginx-test.ts");
      ended(await nginxTest(context, await open(options), pop, options));
    });
  onStack("dashboard", "open the status page of the stack in your browser, served only on this machine until Ctrl-C")
    .option("--no-open", "only print the URL")
    .action(async (options) => {
      const { dashboard } = await import("./commands/dashboard.ts");
      ended(await dashboard(context, await open(options), options));
    });
  onStack("check", "validate the stack file without Pulumi, token or network, for editors and commit hooks")
    .argument(
      "[file...]",
      "stack files (default: that of --stack or PULUMI_STACK, else all of the project except the local one)",
    )
    .option(
      "--live",
      "check the running sites from outside instead: DNS records, certificates and a request to each address",
    )
    .option("--json", json)
    .action(async (files, options) => {
      const { check } = await import("./commands/check.ts");
      ended(await check(context, files, options));
    });
  onStack("cost", "estimate the monthly cost of the stack file by list prices")
    .option("--json", json)
    .action(async (options) => {
      const { cost } = await import("./commands/cost.ts");
      ended(await cost(context, await open(options), options));
    });

  program.commandsGroup("Access:");
  onStack(
    "exec",
    "run a program in a PoP and exit with its exit code. Put options before the PoP. Standard input from a pipe or file is passed on, up to 1 MB. Output is shown after the program has exited (console and ssh stream it)",
  )
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("<command...>", "program and its arguments, preferably after --")
    .option("--timeout <seconds>", "time limit for the program", seconds(1, 600), 60)
    .option("-n, --no-stdin", "do not read standard input")
    .passThroughOptions()
    .action(async (pop, command, options) => {
      const { exec } = await import("./commands/exec.ts");
      ended(await exec(context, await open(options), pop, programArguments(command), options));
    });
  onStack("console", "open a shell or an interactive program in a PoP, through flyctl on Fly or Docker locally")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[command...]", "program and its arguments, preferably after -- (default: a shell)")
    .passThroughOptions()
    .action(async (pop, command, options) => {
      const { console } = await import("./commands/console.ts");
      ended(await console(context, await open(options), pop, programArguments(command)));
    });
  onStack(
    "ssh",
    "connect with OpenSSH over the tailnet (locally through the homelab), verifying the host key with the stack's outputs",
  )
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[command...]", "program and its arguments, preferably after -- (default: a shell)")
    .option("-o, --option <option>", "an ssh option, e.g. ProxyJump=host; can be repeated", collect, [])
    .passThroughOptions()
    .action(async (pop, command, options) => {
      const { ssh } = await import("./commands/ssh.ts");
      ended(await ssh(context, await open(options), pop, programArguments(command), options));
    });

  program.commandsGroup("Traffic:");
  onStack("purge", "purge the cache on all PoPs: URLs, a site or part of it, or everything")
    .argument(
      "[url...]",
      "URL as visitors request it, e.g. https://www.example.org/page?id=1; purges all its spellings and variants",
    )
    .option("--site <host>", "everything of one site")
    .option("--path <pattern>", "with --site: only these paths; * matches anything; can be repeated", collect, [])
    .option("--all", "everything of all sites")
    .option("--json", json)
    .action(async (urls, options) => {
      const { purge } = await import("./commands/purge.ts");
      ended(await purge(context, await open(options), urls, options));
    });
  onStack("maintenance", "switch a site's maintenance page (503) on or off, on all PoPs, within seconds")
    .addArgument(new Argument("<state>", "on or off").choices(["on", "off"]))
    .argument("<site>", "host, e.g. www.example.org")
    .option("--json", json)
    .action(async (state, site, options) => {
      const { maintenance } = await import("./commands/maintenance.ts");
      ended(await maintenance(context, await open(options), state, site, options));
    });
  onStack("drain", "remove PoPs from routing but keep them running: new visitors go to other PoPs")
    .argument("<pop...>", "PoPs, e.g. cdg-1 ewr-1")
    .option("-y, --yes", "do not ask for confirmation, even if no other PoP is routed")
    .action(async (pops, options) => {
      const { drain } = await import("./commands/drain.ts");
      ended(await drain(context, await open(options), pops, options));
    });
  onStack("undrain", "add PoPs to routing again, each once it is healthy")
    .argument("<pop...>", "PoPs, e.g. cdg-1 ewr-1")
    .action(async (pops, options) => {
      const { undrain } = await import("./commands/drain.ts");
      ended(await undrain(context, await open(options), pops));
    });
  onStack("tail", "follow requests on all PoPs as they are answered, until Ctrl-C")
    .argument("[pop]", "PoP, e.g. cdg-1 (default: all)")
    .option("--site <host>", "only requests to this site")
    .option("--status <codes>", "only responses with these statuses, e.g. 404, 5xx or 404,5xx", statuses)
    .option("--slower <time>", "only requests that took at least this long, e.g. 250ms or 1s", milliseconds)
    .option("--json", "print one JSON object per line")
    .action(async (pop, options) => {
      const { tail } = await import("./commands/tail.ts");
      ended(await tail(context, await open(options), pop, options));
    });

  program.commandsGroup("Releases:");
  onStack(
    "preview",
    "show what pulumi up would do: changes of PoPs with reasons, other changes, cost and warnings; makes no calls to Fly",
  )
    .option("--json", json)
    .action(async (options) => {
      const { preview } = await import("./commands/preview.ts");
      ended(await preview(context, await open(options), options));
    });
  onStack("releases", "list deployments with time, commit and image, or show one release's configuration")
    .argument("[release]", "number of the release", wholeNumber(1, 1_000_000))
    .option("--diff", "show changes of image, configuration and rendered files since the previous release")
    .option("--to <release>", "compare with this release instead of the previous one", wholeNumber(1, 1_000_000))
    .option("-n, --limit <count>", "show the last N", wholeNumber(1, 10_000), 20)
    .option("--json", json)
    .action(async (release, options) => {
      const { releases } = await import("./commands/releases.ts");
      ended(await releases(context, await open(options), release, options));
    });
  onStack("rollback", "deploy an older release again, after a preview and a confirmation")
    .argument("[release]", "number of the release (default: the one before the current one)", wholeNumber(1, 1_000_000))
    .option("--image-only", "only its image: regions, sizes and rollout stay as in the stack file")
    .option("--with-removals", "also remove PoPs and release addresses that it did not have")
    .option("--write", "write the deployed configuration into the stack file")
    .option("-y, --yes", "do not ask for confirmation")
    .action(async (release, options) => {
      const { rollback } = await import("./commands/rollback.ts");
      ended(await rollback(context, await open(options), release, options));
    });

  program.commandsGroup("Maintenance:");
  const secrets = program
    .command("secrets")
    .description("manage the operator's secrets file with sops")
    .helpCommand(false)
    .addOption(stackOption());
  onStack("edit", "open it in your editor, and encrypt it again when you close the editor", secrets).action(
    async (options) => {
      const { edit } = await import("./commands/secrets.ts");
      ended(await edit(context, await open(options)));
    },
  );
  onStack(
    "show-recipients",
    "list who can decrypt it: operators, the stack's PoPs, former PoPs and unknown keys",
    secrets,
  )
    .option("--json", json)
    .action(async (options) => {
      const { showRecipients } = await import("./commands/secrets.ts");
      ended(await showRecipients(context, await open(options), options));
    });
  onStack("rekey", "change its recipients and encrypt it with a new data key", secrets)
    .option(
      "--add <recipient>",
      "age or SSH public key of an operator, an SSH key optionally followed by a name; can be repeated",
      collect,
      [],
    )
    .option("--remove <recipient>", "recipient to remove; can be repeated", collect, [])
    .option("--pops", "make the stack's PoPs recipients, so that they get the file unchanged, and remove former PoPs")
    .option("--no-pops", "remove all PoPs and former PoPs: each gets its own file, encrypted during deployment")
    .action(async (options) => {
      const { rekey } = await import("./commands/secrets.ts");
      ended(await rekey(context, await open(options), options));
    });
  onStack(
    "check",
    "check that the file is encrypted, has one key group and no former recipients, and contains every key the image needs",
    secrets,
  ).action(async (options) => {
    const { check } = await import("./commands/secrets.ts");
    ended(await check(context, await open(options)));
  });
  const certificates = program
    .command("certificates")
    .description("certificates that the PoPs order themselves, by ACME")
    .helpCommand(false)
    .addOption(stackOption());
  onStack(
    "renew",
    "order a site's certificate now, in one PoP after the other; says before what that costs at the authority, and never orders more than it gives",
    certificates,
  )
    .argument("<host>", "any name of the site, e.g. www.example.org")
    .option("--pop <name>", "only in this PoP, e.g. cdg-1; can be repeated", collect, [])
    .option("-y, --yes", "do not ask")
    .option("--json", json)
    .action(async (host, options) => {
      const { renew } = await import("./commands/certificates.ts");
      ended(await renew(context, await open(options), host, options));
    });
  onStack(
    "block",
    "block visitors' addresses on every PoP for a limited time: they get 403. Takes effect within seconds, without a deployment. Open connections are not closed",
  )
    .argument("<address...>", "addresses or networks, e.g. 203.0.113.7 or 2001:db8::/48; an IPv6 address means its /64")
    .option("--for <duration>", "duration of the block, e.g. 30m, 1h, 7d", duration("1s", "365d"), 86_400)
    .option("--json", json)
    .action(async (addresses, options) => {
      const { block } = await import("./commands/block.ts");
      ended(await block(context, await open(options), addresses, options));
    });
  onStack("unblock", "remove blocks before they expire")
    .argument("[address...]", "addresses or networks, as blocked shows them")
    .option("--all", "all blocked addresses")
    .option("--json", json)
    .action(async (addresses, options) => {
      const { unblock } = await import("./commands/block.ts");
      ended(await unblock(context, await open(options), addresses, options));
    });
  onStack("blocked", "list blocked addresses, until when, and on which PoPs")
    .option("--json", json)
    .action(async (options) => {
      const { blocked } = await import("./commands/block.ts");
      ended(await blocked(context, await open(options), options));
    });
  onStack("start", "start stopped PoPs one after the other, and route each once it is healthy")
    .argument("<pop...>", "PoPs, e.g. cdg-1 ewr-1")
    .action(async (pops, options) => {
      const { start } = await import("./commands/start.ts");
      ended(await start(context, await open(options), pops));
    });
  onStack("restart", "restart a PoP as in an update, or a single process in it")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[process]", "name as listed by processes, e.g. nginx (default: the whole PoP)")
    .action(async (pop, process, options) => {
      const { restart } = await import("./commands/start.ts");
      ended(await restart(context, await open(options), pop, process));
    });
  onStack("replace", "recreate a PoP on a new volume, if its volume or host is unusable")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .option("--lose-luggage", "also give up the data that luggage keeps on the volume")
    .option("-y, --yes", "do not ask for confirmation")
    .action(async (pop, options) => {
      const { replace } = await import("./commands/replace.ts");
      ended(await replace(context, await open(options), pop, options));
    });
  onStack("orphans", "list objects created by fly-pops that no stack owns; deletes only with --delete")
    .option("--json", json)
    .option("--organization", "look in all apps of the organization")
    .argument("[id...]", "with --delete: only these, which may include kept volumes (keepVolumes)")
    .option("--delete", "delete orphans of this stack, after a confirmation; not while a deployment is running")
    .option("-y, --yes", "do not ask for confirmation")
    .action(async (ids, options) => {
      const { orphans } = await import("./commands/orphans.ts");
      ended(await orphans(context, await open(options), ids, options));
    });
  onStack("doctor", "check the prerequisites of a deployment and suggest fixes")
    .option("--json", json)
    .action(async (options) => {
      const { doctor } = await import("./commands/doctor.ts");
      ended(await doctor(context, options.stack, options));
    });
  program
    .command("preflight")
    .description("verify this project's assumptions about Fly on a temporary app of its own; costs a few cents at most")
    .option("-s, --stack <name>", "use token, organization and region of this stack (default: from the environment)")
    .option("--organization <slug>", "organization to create the app in (default: the stack's, or personal)")
    .option("--region <code>", "region to measure in (default: the stack's first, or iad)")
    .option(
      "--image <reference>",
      "image of the probe machines, with nginx, a shell and getent (default: nginx from Docker Hub)",
    )
    .option("--report <path>", "path of the report, without .md and .json", "fly-pops-preflight")
    .option("--json", "also print the report as JSON")
    .option("--clean", "only remove leftovers of earlier runs")
    .option("-y, --yes", "do not ask for confirmation")
    .action(async (options) => {
      const { preflight } = await import("./commands/preflight.ts");
      ended(await preflight(context, options));
    });
  program
    .command("init")
    .description("write a stack file; asks for missing values and validates each answer")
    .option("-s, --stack <name>", "name of the stack (default: prod)")
    .option("--app <name>", "Fly app; the name must be unique on Fly")
    .option("--organization <slug>", "Fly organization (default: personal)")
    .option("--regions <codes>", "regions, separated by commas, e.g. cdg,ewr")
    .option("--host <name>", "host name of the first site")
    .option("--origin <url>", "URL of its origin")
    .action(async (options) => {
      const { init } = await import("./commands/init.ts");
      ended(await init(context, options));
    });
  program
    .command("new")
    .description(
      "create your own project in another directory, with the files that git tracks here and a stack file; asks for missing values",
    )
    .argument("<directory>", "directory to create, e.g. ../my-edge; it may exist if it is empty")
    .option("-s, --stack <name>", "name of the stack (default: edge)")
    .option("--app <name>", "Fly app; the name must be unique on Fly")
    .option("--organization <slug>", "Fly organization (default: personal)")
    .option("--regions <codes>", "regions, separated by commas, e.g. cdg,ewr")
    .option("--host <name>", "host name of the first site")
    .option("--origin <url>", "URL of its origin")
    .option("--no-setup", "do not install packages and tools there")
    .action(async (dir, options) => {
      const { newProject } = await import("./commands/new.ts");
      ended(await newProject(context, dir, options));
    });
  program
    .command("completion")
    .description("print a completion script for your shell")
    .addArgument(new Argument("<shell>", "shell").choices(shells))
    .action(async (shell) => {
      const { completion } = await import("./completion.ts");
      context.out(completion(shell));
    });
  program
    .command("complete", { hidden: true })
    .description("print completions for the end of a command line; used by the completion scripts")
    .argument("<shell>")
    .argument("[words...]", "words after fly-pops; the last one may be incomplete")
    .passThroughOptions()
    .action(async (shell, typed) => {
      const { complete } = await import("./complete.ts");
      context.out(complete(context, program, shell, typed));
    });
  program
    .command("help")
    .argument("[command...]", "command, e.g. secrets edit (default: this overview)")
    .description("print the help of a command")
    .action((path) => findCommand(program, path).outputHelp());
  addExamples(program);
  return program;
}

const stackOption = (): Option =>
  new Option(
    "-s, --stack <name>",
    "stack to work on (default: the selected stack, or local while the local stack runs)",
  );

const takesStack = (command: Command): boolean => command.options.some((it) => it.attributeName() === "stack");

/** The --stack option given closest to the command. */
function stackBefore(command: Command | null): string | undefined {
  if (command === null) return undefined;
  const { stack } = command.opts<{ stack?: string }>();
  return stack ?? stackBefore(command.parent);
}

function seconds(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected seconds from ${min} to ${max}.`);
  };
}

/** A duration in the stack file's notation, in seconds. */
function duration(from: string, to: string): (text: string) => number {
  return (text) => {
    const given = secondsOf(text);
    if (given !== undefined && given >= (secondsOf(from) ?? 0) && given <= (secondsOf(to) ?? 0)) return given;
    throw new InvalidArgumentError(
      `Expected a duration from ${from} to ${to}: a number with s, m, h or d, or plain seconds.`,
    );
  };
}

function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`Expected a whole number from ${min} to ${max}.`);
  };
}

/** A pattern that matches the statuses in a list such as `404,5xx`. */
function statuses(text: string): RegExp {
  if (/^[1-5](\d\d|xx)(,[1-5](\d\d|xx))*$/i.test(text))
    return new RegExp(`^(?:${text.toLowerCase().replaceAll("xx", "\\d\\d").replaceAll(",", "|")})$`);
  throw new InvalidArgumentError("Expected statuses separated by commas, e.g. 404, 5xx or 404,5xx.");
}

function milliseconds(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  if (count !== undefined) return Number(count) * { ms: 1, s: 1000, m: 60_000 }[unit as "ms" | "s" | "m"];
  throw new InvalidArgumentError("Expected a time, e.g. 250ms, 1s or 2m.");
}

/** With passThroughOptions, commander leaves the `--` in the arguments. */
function programArguments(command: string[]): string[] {
  const [first, ...rest] = command;
  if (first === "--") return rest;
  if (first?.startsWith("-"))
    throw new CliError(
      `fly-pops: ${first} comes after the PoP, where the program is expected. Put options before the PoP, or put -- before a program whose name begins with a dash. Nothing was run.`,
      { code: 2 },
    );
  return command;
}

const collect = (text: string, before: string[]): string[] => [...before, text];
