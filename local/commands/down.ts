/** `npm run local -- down`: nothing of the local stack is left, running or stored; with `--all` no cache either. */
import { rm } from "node:fs/promises";
import { readDaemon } from "../daemon-file.ts";
import { removeBuildCache } from "../docker/build-cache.ts";
import { bytesInWords, imagesOf, knownRegistries, removeCacheDir, removeImages } from "../docker/caches.ts";
import { openDocker, removeEverything } from "../docker/engine.ts";
import { paths } from "../paths.ts";
import { runSteps, type Step } from "../progress/tasks.ts";
import { stackLabel, stopDaemon } from "../services.ts";

interface Removal {
  /** Bytes, of caches. */
  freed: number;
}

/** Not by `pulumi destroy`: a broken stack must go away as surely as a whole one, and its state goes with it. */
export async function down({ all }: { all: boolean }): Promise<void> {
  const docker = openDocker();
  const cache = (title: string, remove: (say: (line: string) => void) => Promise<number>): Step<Removal> => ({
    title,
    run: async (removal, say) => {
      const bytes = await remove(say);
      removal.freed += bytes;
      return bytesInWords(bytes);
    },
  });
  const { freed } = await runSteps<Removal>(
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
          await removeEverything(docker, stackLabel);
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
      ...(all
        ? [
            cache("Remove images", async () =>
              removeImages(docker, imagesOf(await docker.listImages(), knownRegistries())),
            ),
            cache("Remove the engine's build cache of this project", (say) => removeBuildCache(docker, say)),
            cache("Remove .cache", removeCacheDir),
          ]
        : []),
    ],
    { freed: 0 },
  );
  if (all) console.log(`Freed ${bytesInWords(freed)} of disk space.`);
}
