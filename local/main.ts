/** `npm run local -- [up | down | status | logs]`. */
import { parseArgs } from "node:util";
import { regionByCode } from "../providers/fly/regions.ts";
import { engineReason, isEngineGone } from "./docker-engine.ts";
import { down } from "./down.ts";
import { logs } from "./logs.ts";
import { openStatusPage } from "./open.ts";
import { status, statusText } from "./status.ts";
import { up } from "./up.ts";

const usage = `npm run local                     start everything, or bring it up to date
npm run local -- status [--json]  what runs, and where
npm run local -- status --open    the same as a page that stays up to date
npm run local -- logs [POP] [-f]  what a PoP says; without one, local Fly itself
npm run local -- down             nothing is left

Options of the start:
  --http-port N, --https-port N   where the edge serves (8080, 8443)
  --api-port N, --registry-port N where the Machines API and the registry are (4280, 5055)
  --from REGION                   where the visitors are (cdg): the nearest PoP serves them`;

const port = { type: "string" } as const;

async function main(argv: string[]): Promise<void> {
  const { values, positionals } = parseArgs({
    args: argv,
    allowPositionals: true,
    options: {
      json: { type: "boolean" },
      open: { type: "boolean" },
      follow: { type: "boolean", short: "f" },
      help: { type: "boolean", short: "h" },
      from: { type: "string" },
      "http-port": port,
      "https-port": port,
      "api-port": port,
      "registry-port": port,
    },
  });
  const [command = "up", ...rest] = positionals;
  if (values.help) return console.log(usage);
  switch (command) {
    case "up": {
      const ports = (["http", "https", "api", "registry"] as const).flatMap((name) => {
        const text = values[`${name}-port`];
        return text === undefined ? [] : [[name, portNumber(`--${name}-port`, text)] as const];
      });
      const from = values.from ?? "cdg";
      if (!regionByCode(from))
        throw new Error(
          `--from is "${from}": it takes the code of the Fly region that you visit from, e.g. cdg or nrt.`,
        );
      return up({ ports: Object.fromEntries(ports), from });
    }
    case "down":
      return down();
    case "status": {
      if (values.open) return openStatusPage();
      const now = await status();
      return console.log(values.json ? JSON.stringify(now) : statusText(now));
    }
    case "logs":
      return logs(rest[0], values.follow ?? false);
    default:
      throw new Error(`"${command}" is no command.\n${usage}`);
  }
}

function portNumber(option: string, text: string): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= 65_535) return number;
  throw new Error(`${option} is "${text}": it takes a port from 1 to 65535.`);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  console.error(isEngineGone(error) ? `Nothing more was done: ${engineReason(error)}` : message);
  process.exitCode = 1;
}
