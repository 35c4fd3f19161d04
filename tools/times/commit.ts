/** `node tools/times/commit.ts`: writes tools/times/measured.json from the times of this checkout's last runs. */
import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { optionsOf, runScript } from "../../setup/options.mjs";
import { committed, knownTimes, tests } from "./times.ts";

/** Shorter files need no order. */
const leastSeconds = 5;

await runScript("times", (args) => {
  optionsOf(args, {});
  const long = Object.entries(knownTimes())
    .filter(([file, seconds]) => seconds >= leastSeconds && existsSync(join(tests, file)))
    .toSorted(([, a], [, b]) => b - a);
  writeFileSync(
    committed,
    `${JSON.stringify(Object.fromEntries(long.map(([file, seconds]) => [file, Math.round(seconds)])), null, 2)}\n`,
  );
});
