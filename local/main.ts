/** `npm run local -- [up | down | status | logs]`. */
import { enableCompileCache } from "node:module";
import { join } from "node:path";
import { engineReason, isEngineGone } from "./docker/engine.ts";
import { type Command, parseCommand, usage } from "./options.ts";
import { projectDir } from "./paths.ts";

// Loaded where they are used: the start above all needs much that the others do not.
async function run(command: Command): Promise<void> {
  switch (command.name) {
    case "help":
      return console.log(usage);
    case "up": {
      compileOnce();
      const { up } = await import("./commands/up.ts");
      return up(command);
    }
    case "down": {
      const { down } = await import("./commands/down.ts");
      return down(command);
    }
    case "status": {
      if (command.how === "page") return (await import("./commands/open.ts")).openStatusPage();
      const { status, statusText } = await import("./commands/status.ts");
      const now = await status();
      return console.log(command.how === "json" ? JSON.stringify(now) : statusText(now));
    }
    case "logs": {
      const { logs } = await import("./commands/logs.ts");
      return logs(command.pop, command.follow);
    }
    default:
      return command satisfies never;
  }
}

/** Half of what a start computes is Node compiling what it compiled the last time. Not for `down`, which would write it once more after it was removed. */
function compileOnce(): void {
  process.env.NODE_COMPILE_CACHE ??= join(projectDir, ".cache", "node"); // for the daemon and Pulumi's program as well
  enableCompileCache(process.env.NODE_COMPILE_CACHE);
}

try {
  await run(parseCommand(process.argv.slice(2)));
} catch (error) {
  const message = error instanceof Error ? error.message : String(error);
  console.error(isEngineGone(error) ? `Nothing more was done: ${engineReason(error)}` : message);
  // What goes on beside it, a homelab that is compiled above all, ends as well.
  process.exit(1);
}
