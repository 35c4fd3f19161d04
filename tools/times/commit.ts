/** `node tools/times/commit.ts`: writes tools/times/measured.json from the times of this checkout's last runs. */
import { writeFileSync } from "node:fs";
import { optionsOf, runScript } from "../../setup/options.mjs";
import { committed, isThere, knownTimes } from "./times.ts";

/** Shorter files need no order. */
const leastSeconds = 5;

await runScript("times", (args) => {
  optionsOf(args, {});
  const long = Object.entries(knownTimes())
    .filter(([file, seconds]) => seconds >= leastSeconds && isThere(file))
    .toSorted(([, a], [, b]) => b - a);
  writeFileSync(
    committed,
    `${JSON.stringify(Object.fromEntries(long.map(([file, seconds]) => [file, Math.round(seconds)])), null, 2)}\n`,
  );
});
