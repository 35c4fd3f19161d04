/** The command line as data: commands, arguments, options and their texts. docs/cli.md, the help and the completion are made from it. */
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { seconds as secondsOf } from "../config/duration.ts";
import manifest from "../package.json" with { type: "json" };
import { shells } from "./completion.ts";
import { addExamples } from "./examples.ts";
import { commandAt } from "./help.ts";
import type { Stack } from "./stack.ts";
import { type ExitCode, print, Refusal, type World } from "./world.ts";

/** What an action ends with; `exec` and its like end with the code of what they ran. */
export type Code = ExitCode | number;

/** `ended` is told the exit code of the command that ran. A command's own file is loaded when it runs: most of them need little. */
export function createProgram(world: World, ended: (code: Code) => void): Command {
  const program = new Command("fly-pops")
    .description("Operate the PoPs of a stack, on Fly and on local Fly alike.")
    .version(manifest.version, "-V, --version", "print the version")
    .addOption(new Option("-v", "print the version").hideHelp())
    .addOption(stackOption())
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .showHelpAfterError("(run with --help for what is understood)")
    .enablePositionalOptions()
    .on("option:v", () => {
      print(world, manifest.version);
      throw new CommanderError(0, "commander.version", manifest.version);
    })
    // --stack may stand before the command as well; behind it it counts.
    .hook("preAction", (_, command) => {
      const asked = stackBefore(command);
      if (asked !== undefined && takesStack(command)) command.setOptionValue("stack", asked);
    });

  const open = async ({ stack }: { stack?: string }): Promise<Stack> =>
    (await import("./stack.ts")).openStack(world, stack);
  /** A command on one stack. */
  const onStack = (text: string, description: string, parent = program) =>
    parent.command(text).description(description).addOption(stackOption());
  const json = "print JSON instead of a table";

  program.commandsGroup("Look:");
  onStack(
    "status",
    "addresses and DNS, then every PoP in a row: state, version, image and what it is made from, checks, tailnet, certificates, memory, cache hits",
  )
    .option("--json", json)
    .option("-w, --watch", "look again and again until Ctrl-C")
    .option("--interval <seconds>", "time between two looks", seconds(0.1, 3600), 2)
    .action(async (options) => {
      const { status } = await import("./commands/status.ts");
      ended(await status(world, await open(options), options));
    });
  onStack("logs", "what PoPs write: the last hundred lines, or those that are asked for")
    .argument("[pop]", "PoP, e.g. cdg-1; all of them when left out")
    .option("-f, --follow", "go on until Ctrl-C, also when Fly does not answer for a while")
    .option("-n, --lines <count>", "the newest so many (default: about 100; with --since all)", whole(1, 100_000))
    .option("--since <time>", "not before: 90s, 10m, 2h, 7d ago, or a time as 2026-03-01T02:00:00Z")
    .option("--process <name>", "of one process, e.g. nginx, and what process-compose says of it")
    .option("--site <host>", "requests to one site, and what nginx says of it")
    .option("--errors", "failures alone: answers of 500 and more, nginx's errors, what other processes call so")
    .option("--json", "print one JSON object a line")
    .action(async (pop, options) => {
      const { logs } = await import("./commands/logs.ts");
      ended(await logs(world, await open(options), pop, options));
    });
  onStack(
    "top",
    "what each PoP and each site serves now: requests and 5xx a second, cache hits, 95th percentile of times",
  )
    .option("--json", json)
    .option("-w, --watch", "look again and again until Ctrl-C")
    .option("-n, --limit <count>", "look so many times, then end", whole(1, 1_000_000))
    .option("--interval <seconds>", "time between two looks, which the rates are over", seconds(0.1, 3600), 2)
    .action(async (options) => {
      const { top } = await import("./commands/top.ts");
      ended(await top(world, await open(options), options));
    });
  onStack("processes", "what runs in a PoP, and how often it was restarted")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .option("--json", json)
    .action(async (pop, options) => {
      const { processes } = await import("./commands/processes.ts");
      ended(await processes(world, await open(options), pop, options));
    });
  onStack("config", "the files a PoP is configured with, as the stack file renders them")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[file...]", "only these: whole path or its end, e.g. nginx.conf")
    .option("--live", "as they lie in the PoP")
    .option("--diff", "how what lies in the PoP differs from what the stack file renders")
    .option("--json", json)
    .action(async (pop, files, options) => {
      const { config } = await import("./commands/config.ts");
      ended(await config(world, await open(options), pop, files, options));
    });
  onStack("nginx-test", "let nginx read its configuration and certificates as if it started")
    .argument("[pop]", "PoP, e.g. cdg-1; all of them when left out")
    .option("--json", json)
    .action(async (pop, options) => {
      const { nginxTest } = await import("./commands/nginx-test.ts");
      ended(await nginxTest(world, await open(options), pop, options));
    });
  onStack("dashboard", "the status page of the stack in your browser, served on this machine alone, until Ctrl-C")
    .option("--no-open", "only print its address")
    .action(async (options) => {
      const { dashboard } = await import("./commands/dashboard.ts");
      ended(await dashboard(world, await open(options), options));
    });
  onStack("check", "is the stack file right? without Pulumi, token or network, for editors and commit hooks")
    .argument(
      "[file...]",
      "stack files; the one of --stack or PULUMI_STACK when left out, else all of the project but the local one",
    )
    .option(
      "--live",
      "from outside instead: the sites' addresses in DNS, their certificates and a request to each address",
    )
    .option("--json", json)
    .action(async (files, options) => {
      const { check } = await import("./commands/check.ts");
      ended(await check(world, files, options));
    });
  onStack("cost", "what the stack file costs a month by list price")
    .option("--json", json)
    .action(async (options) => {
      const { cost } = await import("./commands/cost.ts");
      ended(await cost(world, await open(options), options));
    });

  program.commandsGroup("Go in:");
  onStack(
    "exec",
    "run one program in a PoP and end with its exit code; options stand before the PoP. Standard input from a pipe or a file is sent along, up to 1 MB; what the program writes comes when it has ended (console and ssh stream both)",
  )
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("<command...>", "program and its arguments, best behind --")
    .option("--timeout <seconds>", "give the program up after that time", seconds(1, 600), 60)
    .option("-n, --no-stdin", "send no standard input, and leave it to what comes after")
    .passThroughOptions()
    .action(async (pop, command, options) => {
      const { exec } = await import("./commands/exec.ts");
      ended(await exec(world, await open(options), pop, words(command), options));
    });
  onStack("console", "a shell in a PoP, or a program that can be typed to: by flyctl on Fly, by Docker locally")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[command...]", "program and its arguments, best behind --; a shell when left out")
    .passThroughOptions()
    .action(async (pop, command, options) => {
      const { console } = await import("./commands/console.ts");
      ended(await console(world, await open(options), pop, words(command)));
    });
  onStack(
    "ssh",
    "OpenSSH over the tailnet (locally by way of the homelab), the host key verified from the stack's outputs",
  )
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[command...]", "program and its arguments, best behind --; a shell when left out")
    .option("-o, --option <option>", "an option of ssh, e.g. ProxyJump=host; may be given more than once", each, [])
    .passThroughOptions()
    .action(async (pop, command, options) => {
      const { ssh } = await import("./commands/ssh.ts");
      ended(await ssh(world, await open(options), pop, words(command), options));
    });

  program.commandsGroup("Traffic:");
  onStack("purge", "remove what PoPs have stored, on all of them at once: URLs, a site or a part of it, or everything")
    .argument(
      "[url...]",
      "as visitors ask for it, e.g. https://www.example.org/page?id=1; in every spelling and variant",
    )
    .option("--site <host>", "all of one site")
    .option(
      "--path <pattern>",
      "with --site: these paths only; * stands for anything; may be given more than once",
      each,
      [],
    )
    .option("--all", "all sites")
    .option("--json", json)
    .action(async (urls, options) => {
      const { purge } = await import("./commands/purge.ts");
      ended(await purge(world, await open(options), urls, options));
    });
  onStack(
    "maintenance",
    "answer a site's visitors with 503 and a page, or serve them again: in seconds, on all PoPs, until it is ended",
  )
    .addArgument(new Argument("<state>", "on or off").choices(["on", "off"]))
    .argument("<site>", "host, e.g. www.example.org")
    .option("--json", json)
    .action(async (state, site, options) => {
      const { maintenance } = await import("./commands/maintenance.ts");
      ended(await maintenance(world, await open(options), state, site, options));
    });
  onStack("drain", "take PoPs out of routing while they run on: new visitors go to the others")
    .argument("<pop...>", "PoPs, e.g. cdg-1 ewr-1")
    .option("-y, --yes", "do not ask, even if no other PoP is routed")
    .action(async (pops, options) => {
      const { drain } = await import("./commands/drain.ts");
      ended(await drain(world, await open(options), pops, options));
    });
  onStack("undrain", "route PoPs again, each once it is seen to serve")
    .argument("<pop...>", "PoPs, e.g. cdg-1 ewr-1")
    .action(async (pops, options) => {
      const { undrain } = await import("./commands/drain.ts");
      ended(await undrain(world, await open(options), pops));
    });
  onStack("tail", "requests as they are answered, on all PoPs, until Ctrl-C")
    .argument("[pop]", "PoP, e.g. cdg-1; all of them when left out")
    .option("--site <host>", "to one site")
    .option("--status <codes>", "with these statuses, e.g. 404, 5xx or 404,5xx", statuses)
    .option("--slower <time>", "that took at least so long, e.g. 250ms or 1s", milliseconds)
    .option("--json", "print one JSON object a line")
    .action(async (pop, options) => {
      const { tail } = await import("./commands/tail.ts");
      ended(await tail(world, await open(options), pop, options));
    });

  program.commandsGroup("Releases:");
  onStack("preview", "what pulumi up would do: PoPs with reasons, what else changes, cost, warnings; asks Fly nothing")
    .option("--json", json)
    .action(async (options) => {
      const { preview } = await import("./commands/preview.ts");
      ended(await preview(world, await open(options), options));
    });
  onStack(
    "releases",
    "what was deployed when, from which commit, with which image; of one release what it was deployed with",
  )
    .argument("[release]", "its number", whole(1, 1_000_000))
    .option("--diff", "what it changed: image, configuration and rendered files against the release before")
    .option("--to <release>", "compare with this release instead", whole(1, 1_000_000))
    .option("-n, --limit <count>", "the newest so many", whole(1, 10_000), 20)
    .option("--json", json)
    .action(async (release, options) => {
      const { releases } = await import("./commands/releases.ts");
      ended(await releases(world, await open(options), release, options));
    });
  onStack("rollback", "deploy an older release once more, after a preview and a question")
    .argument("[release]", "its number in releases (default: the one before what is deployed)", whole(1, 1_000_000))
    .option("--image-only", "its image alone: regions, sizes and rollout stay as the stack file has them")
    .option("--with-removals", "also take out PoPs and release addresses that it did not have")
    .option("--write", "write what was deployed into the stack file")
    .option("-y, --yes", "do not ask")
    .action(async (release, options) => {
      const { rollback } = await import("./commands/rollback.ts");
      ended(await rollback(world, await open(options), release, options));
    });

  program.commandsGroup("Care:");
  const secrets = program
    .command("secrets")
    .description("the operator's file of secrets, by sops")
    .helpCommand(false)
    .addOption(stackOption());
  onStack("edit", "open it in your editor; encrypted again when you leave", secrets).action(async (options) => {
    const { edit } = await import("./commands/secrets.ts");
    ended(await edit(world, await open(options)));
  });
  onStack(
    "show-recipients",
    "who can open it: operators, PoPs of the stack, PoPs that left it, and keys nobody knows",
    secrets,
  )
    .option("--json", json)
    .action(async (options) => {
      const { showRecipients } = await import("./commands/secrets.ts");
      ended(await showRecipients(world, await open(options), options));
    });
  onStack("rekey", "give it a new data key, for whom it names after the change", secrets)
    .option(
      "--add <recipient>",
      "age or SSH public key of an operator, with a name behind an SSH key; may be given more than once",
      each,
      [],
    )
    .option("--remove <recipient>", "who is to open no later version; may be given more than once", each, [])
    .option("--pops", "name the PoPs of the stack, so that it is handed to them as it is; those that left go")
    .option("--no-pops", "name no PoP, none that left either: each gets a file of its own, sealed at deployment")
    .action(async (options) => {
      const { rekey } = await import("./commands/secrets.ts");
      ended(await rekey(world, await open(options), options));
    });
  onStack(
    "check",
    "is it encrypted, for one group of keys and nobody who left, and does it have what the image asks for?",
    secrets,
  ).action(async (options) => {
    const { check } = await import("./commands/secrets.ts");
    ended(await check(world, await open(options)));
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
    .option("--pop <name>", "only in this PoP, e.g. cdg-1; may be given more than once", each, [])
    .option("-y, --yes", "do not ask")
    .option("--json", json)
    .action(async (host, options) => {
      const { renew } = await import("./commands/certificates.ts");
      ended(await renew(world, await open(options), host, options));
    });
  onStack(
    "block",
    "answer visitors from these addresses with 403, in every PoP, for a time; done in seconds, without a deployment. Connections that are open go on",
  )
    .argument(
      "<address...>",
      "addresses or networks, e.g. 203.0.113.7 or 2001:db8::/48; an IPv6 address stands for its /64",
    )
    .option("--for <duration>", "how long, e.g. 30m, 1h, 7d", duration("1s", "365d"), 86_400)
    .option("--json", json)
    .action(async (addresses, options) => {
      const { block } = await import("./commands/block.ts");
      ended(await block(world, await open(options), addresses, options));
    });
  onStack("unblock", "end blocks before their time")
    .argument("[address...]", "addresses or networks, as blocked shows them")
    .option("--all", "every one that is blocked")
    .option("--json", json)
    .action(async (addresses, options) => {
      const { unblock } = await import("./commands/block.ts");
      ended(await unblock(world, await open(options), addresses, options));
    });
  onStack("blocked", "which addresses are blocked, until when, and in which PoPs")
    .option("--json", json)
    .action(async (options) => {
      const { blocked } = await import("./commands/block.ts");
      ended(await blocked(world, await open(options), options));
    });
  onStack("start", "start PoPs that do not run, one after the other, and route each once it serves")
    .argument("<pop...>", "PoPs, e.g. cdg-1 ewr-1")
    .action(async (pops, options) => {
      const { start } = await import("./commands/start.ts");
      ended(await start(world, await open(options), pops));
    });
  onStack("restart", "restart a PoP by the rules of an update, or one process in it while the others go on")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .argument("[process]", "as processes names it, e.g. nginx; the whole PoP when left out")
    .action(async (pop, process, options) => {
      const { restart } = await import("./commands/start.ts");
      ended(await restart(world, await open(options), pop, process));
    });
  onStack("replace", "make a PoP anew on another volume, for one whose volume or host is of no use any more")
    .argument("<pop>", "PoP, e.g. cdg-1")
    .option("--lose-luggage", "give up what luggage keeps on the volume, too")
    .option("-y, --yes", "do not ask")
    .action(async (pop, options) => {
      const { replace } = await import("./commands/replace.ts");
      ended(await replace(world, await open(options), pop, options));
    });
  onStack("orphans", "objects with our marks that no stack owns; deletes nothing unless told to")
    .option("--json", json)
    .option("--organization", "look into every app of the organization")
    .argument("[id...]", "with --delete: only these, volumes that are kept (keepVolumes) among them")
    .option("--delete", "delete what this stack made and lost, after a question; not while a deployment is under way")
    .option("-y, --yes", "do not ask")
    .action(async (ids, options) => {
      const { orphans } = await import("./commands/orphans.ts");
      ended(await orphans(world, await open(options), ids, options));
    });
  onStack("doctor", "is everything there that a deployment takes? with the fix for what is not")
    .option("--json", json)
    .action(async (options) => {
      const { doctor } = await import("./commands/doctor.ts");
      ended(await doctor(world, options.stack, options));
    });
  program
    .command("preflight")
    .description(
      "measure what this project assumes about Fly, once, on an app of its own that is removed again; costs a few cents at most",
    )
    .option("-s, --stack <name>", "take token, organization and region from this stack (default: from the environment)")
    .option("--organization <slug>", "organization to make the app in (default: the stack's, or personal)")
    .option("--region <code>", "region to measure in (default: the stack's first, or iad)")
    .option(
      "--image <reference>",
      "image of the probe machines: nginx, a shell and getent (default: nginx of Docker Hub)",
    )
    .option("--report <path>", "where to write the report, without .md and .json", "fly-pops-preflight")
    .option("--json", "print the report as JSON too")
    .option("--clean", "only remove what an earlier run has left")
    .option("-y, --yes", "do not ask")
    .action(async (options) => {
      const { preflight } = await import("./commands/preflight.ts");
      ended(await preflight(world, options));
    });
  program
    .command("init")
    .description("write a stack file; what is not given is asked, and each answer checked as it is given")
    .option("-s, --stack <name>", "name of the stack (default: prod)")
    .option("--app <name>", "Fly app, one name for all of Fly")
    .option("--organization <slug>", "Fly organization (default: personal)")
    .option("--regions <codes>", "with commas between them, e.g. cdg,ewr")
    .option("--host <name>", "first site, the name visitors use")
    .option("--origin <url>", "where it is served from")
    .action(async (options) => {
      const { init } = await import("./commands/init.ts");
      ended(await init(world, options));
    });
  program
    .command("new")
    .description(
      "a project of your own in another folder: what git tracks here, and a stack file; what is not given is asked",
    )
    .argument("<folder>", "folder to make, e.g. ../my-edge; it may be there when it is empty")
    .option("-s, --stack <name>", "name of the stack (default: edge)")
    .option("--app <name>", "Fly app, one name for all of Fly")
    .option("--organization <slug>", "Fly organization (default: personal)")
    .option("--regions <codes>", "with commas between them, e.g. cdg,ewr")
    .option("--host <name>", "first site, the name visitors use")
    .option("--origin <url>", "where it is served from")
    .option("--no-setup", "bring no packages and tools there")
    .action(async (folder, options) => {
      const { newProject } = await import("./commands/new.ts");
      ended(await newProject(world, folder, options));
    });
  program
    .command("completion")
    .description("print a script by which your shell completes this command line")
    .addArgument(new Argument("<shell>", "shell").choices(shells))
    .action(async (shell) => {
      const { completion } = await import("./completion.ts");
      world.out(completion(shell));
    });
  program
    .command("complete", { hidden: true })
    .description("what may stand at the end of a command line; for the scripts of completion")
    .argument("<shell>")
    .argument("[words...]", "behind fly-pops, the last one as far as it is typed")
    .passThroughOptions()
    .action(async (shell, typed) => {
      const { complete } = await import("./complete.ts");
      world.out(complete(world, program, shell, typed));
    });
  program
    .command("help")
    .argument("[command...]", "command, e.g. secrets edit; this overview when left out")
    .description("print the help of a command")
    .action((path) => commandAt(program, path).outputHelp());
  addExamples(program);
  return program;
}

const stackOption = (): Option =>
  new Option("-s, --stack <name>", "stack to work on (default: the selected one, or local while the local one runs)");

const takesStack = (command: Command): boolean => command.options.some((it) => it.attributeName() === "stack");

/** What --stack says nearest to the command. */
function stackBefore(command: Command | null): string | undefined {
  if (command === null) return undefined;
  const { stack } = command.opts<{ stack?: string }>();
  return stack ?? stackBefore(command.parent);
}

function seconds(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (text.trim() !== "" && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It takes seconds from ${min} to ${max}.`);
  };
}

/** As a stack file writes them; in seconds. */
function duration(from: string, to: string): (text: string) => number {
  return (text) => {
    const given = secondsOf(text);
    if (given !== undefined && given >= (secondsOf(from) ?? 0) && given <= (secondsOf(to) ?? 0)) return given;
    throw new InvalidArgumentError(
      `It takes a duration from ${from} to ${to}: a number with s, m, h or d, or plain seconds.`,
    );
  };
}

function whole(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= min && value <= max) return value;
    throw new InvalidArgumentError(`It takes a whole number from ${min} to ${max}.`);
  };
}

/** `404,5xx` as a pattern of a whole status. */
function statuses(text: string): RegExp {
  if (/^[1-5](\d\d|xx)(,[1-5](\d\d|xx))*$/i.test(text))
    return new RegExp(`^(?:${text.toLowerCase().replaceAll("xx", "\\d\\d").replaceAll(",", "|")})$`);
  throw new InvalidArgumentError("It takes statuses with commas between them, e.g. 404, 5xx or 404,5xx.");
}

function milliseconds(text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? [];
  if (count !== undefined) return Number(count) * { ms: 1, s: 1000, m: 60_000 }[unit as "ms" | "s" | "m"];
  throw new InvalidArgumentError("It takes a time, e.g. 250ms, 1s or 2m.");
}

/** Options that pass through take the dashes along. */
function words(command: string[]): string[] {
  const [first, ...rest] = command;
  if (first === "--") return rest;
  if (first?.startsWith("-"))
    throw new Refusal(
      `fly-pops: ${first} stands behind the PoP, where the program to run is said. Options stand before the PoP; a program whose name begins so stands behind --. Nothing was run.`,
      { code: 2 },
    );
  return command;
}

const each = (text: string, before: string[]): string[] => [...before, text];
