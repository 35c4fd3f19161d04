/** The arguments of `npm run local`: command, options. Pure. Unknown options, and those that a command does not have, are errors. */
import { regionByCode } from "../fly/regions.ts";
import { optionsOf } from "../setup/options.mjs";
import type { LocalPorts } from "./daemon-file.ts";

export const usage = `npm run local                     start everything, or bring it up to date
npm run local -- --no-homelab     the same without tailnet and vault: ends with the first page
npm run local -- status [--json]  what runs, and where
npm run local -- status --open    the same as a page that stays up to date
npm run local -- logs [POP] [-f]  what a PoP says; without one, local Fly itself
npm run local -- down             nothing is left but caches
npm run local -- down --all       nor are images, build cache and .cache; says how much disk space that freed

Options of the start:
  --http-port N, --https-port N   where the edge serves (8080, 8443)
  --api-port N, --registry-port N where the Machines API and the registry are (4280, 5055)
  --from REGION                   where the visitors are (cdg): the nearest PoP serves them`;

export type Command =
  | { name: "help" }
  | { name: "up"; ports: Partial<LocalPorts>; from: string; homelab: boolean }
  | { name: "down"; all: boolean }
  | { name: "status"; how: "text" | "json" | "page" }
  | { name: "logs"; pop: string | undefined; follow: boolean };

const options = {
  help: { type: "boolean", short: "h" },
  "no-homelab": { type: "boolean" },
  from: { type: "string" },
  "http-port": { type: "string" },
  "https-port": { type: "string" },
  "api-port": { type: "string" },
  "registry-port": { type: "string" },
  all: { type: "boolean" },
  json: { type: "boolean" },
  open: { type: "boolean" },
  follow: { type: "boolean", short: "f" },
} as const;
type Option = keyof typeof options;

const ports = ["http", "https", "api", "registry"] as const;

/** Options of each command, and how many words may follow it. */
const commands: Record<Exclude<Command["name"], "help">, { options: readonly Option[]; words: number }> = {
  up: { options: ["no-homelab", "from", ...ports.map((name) => `${name}-port` as const)], words: 0 },
  down: { options: ["all"], words: 0 },
  status: { options: ["json", "open"], words: 0 },
  logs: { options: ["follow"], words: 1 },
};

export function parseCommand(argv: string[]): Command {
  const { values, words: all } = parse(argv);
  if (values.help) return { name: "help" };
  const [name = "up", ...words] = all;
  if (!isCommand(name)) throw new Error(`"${name}" is not a command.\n${usage}`);
  const { options: allowed, words: most } = commands[name];
  const given = Object.keys(values) as Option[];
  const foreign = given.find((option) => !allowed.includes(option));
  if (foreign !== undefined) throw new Error(meaningless(name, foreign));
  const surplus = words[most];
  if (surplus !== undefined) throw new Error(`"${surplus}" after ${name} is not understood.\n${usage}`);
  switch (name) {
    case "up":
      return { name, ports: chosenPorts(values), from: region(values.from ?? "cdg"), homelab: !values["no-homelab"] };
    case "down":
      return { name, all: values.all ?? false };
    case "status":
      if (values.json && values.open) throw new Error("--json and --open exclude each other: a page is for people.");
      return { name, how: values.open ? "page" : values.json ? "json" : "text" };
    case "logs":
      return { name, pop: words[0], follow: values.follow ?? false };
    default:
      return name satisfies never;
  }
}

type Values = ReturnType<typeof parse>["values"];

function parse(argv: string[]) {
  try {
    return optionsOf(argv, options, { words: Number.POSITIVE_INFINITY });
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${usage}`, { cause: error });
  }
}

const isCommand = (name: string): name is keyof typeof commands => Object.hasOwn(commands, name);

function meaningless(name: string, option: Option): string {
  const others = Object.entries(commands).flatMap(([command, it]) => (it.options.includes(option) ? [command] : []));
  return `--${option} means nothing to ${name}: it is an option of ${others.join(", ")}. Nothing was done.`;
}

function chosenPorts(values: Values): Partial<LocalPorts> {
  return Object.fromEntries(
    ports.flatMap((name) => {
      const text = values[`${name}-port`];
      return text === undefined ? [] : [[name, portNumber(`--${name}-port`, text)]];
    }),
  );
}

function portNumber(option: string, text: string): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && number >= 1 && number <= 65_535) return number;
  throw new Error(`${option} is "${text}": it takes a port from 1 to 65535.`);
}

function region(code: string): string {
  if (regionByCode(code)) return code;
  throw new Error(`--from is "${code}": it takes the code of the Fly region that you visit from, e.g. cdg or nrt.`);
}
