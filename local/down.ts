/** `npm run local -- down`: nothing of the local stack is left, running or stored. */
import { rm } from "node:fs/promises";
import { readDaemon } from "./daemon-file.ts";
import { openDocker, removeEverything } from "./docker-engine.ts";
import { paths } from "./paths.ts";
import { stackLabel, stopDaemon } from "./services.ts";
import { runSteps } from "./tasks.ts";

/** Not by `pulumi destroy`: a broken stack must go away as surely as a whole one, and its state goes with it. */
export async function down(): Promise<void> {
  await runSteps(
    [
      {
        title: "Stop local Fly",
        run: async () => {
          const daemon = await readDaemon();
          if (!daemon) return "did not run";
          await stopDaemon(daemon.pid);
          return undefined;
        },
      },
      {
        title: "Remove containers, volumes and network",
        run: async () => {
          await removeEverything(openDocker(), stackLabel);
          return undefined;
        },
      },
      {
        title: "Remove its state",
        run: async () => {
          await rm(paths.root, { recursive: true, force: true });
          return undefined;
        },
      },
    ],
    {},
  );
}
