import { closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { emptyFlyState, type FlyState } from "./fly-state.ts";

/** Keeps the state of local Fly over a restart of the server. */
export interface Store {
  load(): FlyState;
  save(flyState: FlyState): void;
}

/** One JSON file, readable by its owner alone: it holds app secrets. A crash leaves the old file or the new one, never half of one. */
export function fileStore(path: string): Store {
  return {
    load() {
      let text: string;
      try {
        text = readFileSync(path, "utf8");
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return emptyFlyState();
        throw error;
      }
      const flyState: FlyState = JSON.parse(text);
      if (flyState.schemaVersion !== 1)
        throw new Error(
          `${path}: written by another version of local Fly (schema ${flyState.schemaVersion}, this one reads 1). Nothing was changed. Remove the file to start afresh.`,
        );
      return flyState;
    },
    save(flyState) {
      mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
      const temporary = `${path}.new`;
      const file = openSync(temporary, "w", 0o600);
      try {
        // Not writeSync: on a disk that fills up it writes a part, and says so in its result only.
        writeFileSync(file, JSON.stringify(flyState));
        fsyncSync(file);
      } finally {
        closeSync(file);
      }
      renameSync(temporary, path);
    },
  };
}

/** Remembers as long as the process lives: give it to the next server and that one has "restarted". */
export function memoryStore(): Store {
  let kept: FlyState | undefined;
  return {
    load: () => (kept === undefined ? emptyFlyState() : structuredClone(kept)),
    save(flyState) {
      kept = flyState;
    },
  };
}
