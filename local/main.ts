/** `npm run local -- [up | down | status | logs]`. */
import { engineReason, isEngineGone } from "./docker-engine.ts";
import { down } from "./down.ts";
import { logs } from "./logs.ts";
import { openStatusPage } from "./open.ts";
import { type Command, parseCommand, usage } from "./options.ts";
import { status, statusText } from "./status.ts";
import { up } from "./up.ts";

async function run(command: Command): Promise<void> {
  switch (command.name) {
    case "help":
      return console.log(usage);
    case "up":
      return up(command);
    case "down":
      return down(command);
    case "status": {
      if (command.how === "page") return openStatusPage();
      const now = await status();
      return console.log(command.how === "json" ? JSON.stringify(now) : statusText(now));
    }
    case "logs":
      return logs(command.pop, command.follow);
    default:
      return command satisfies never;
  }
}

try {
  await run(parseCommand(process.argv.slice(2)));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  console.error(isEngineGone(error) ? `Nothing more was done: ${engineReason(error)}` : message);
  // What goes on beside it, a homelab that is compiled above all, ends as well.
  process.exit(1);
}
