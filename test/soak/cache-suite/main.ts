/**
 * `node test/soak/cache-suite/main.ts` runs the public suite of HTTP caches through a PoP and prints what it found.
 * `--only PREFIX` runs the tests whose ids begin so, `--dump` prints their requests and answers, `--json FILE` writes all there is to know.
 * `--image REF` and `--nginx-conf FILE` try another image or configuration; `--print-conf` prints the one of this checkout and runs nothing.
 */
import { writeFileSync } from "node:fs";
import { renderedFiles } from "../../../image/context.ts";
import { optionsOf, runScript } from "../../../setup/options.mjs";
import { report } from "./report.ts";
import { runSuite } from "./run.ts";
import { spec } from "./spec.ts";
import { kindOf } from "./verdict.ts";

const options = {
  only: { type: "string" },
  json: { type: "string" },
  image: { type: "string" },
  "nginx-conf": { type: "string" },
  dump: { type: "boolean" },
  "print-conf": { type: "boolean" },
} as const;

await runScript("cache-suite", async (args) => {
  const { values } = optionsOf(args, options, { alone: { "print-conf": ["runs nothing"] } });
  const { only, image, "nginx-conf": nginxConf, dump = false, json } = values;
  if (values["print-conf"]) return console.log(renderedFiles(spec)["etc/nginx/nginx.conf"]);
  const run = await runSuite({
    ...(only === undefined ? {} : { only }),
    ...(image === undefined ? {} : { image }),
    ...(nginxConf === undefined ? {} : { nginxConf }),
    dump,
    log: (line) => console.error(line),
  });
  console.log(report(run));
  console.error(`${(run.took / 1000).toFixed(1)} s`);
  if (json === undefined) return;
  const all = run.tests.map((test) => {
    const outcome = run.outcomes[test.id];
    const message = Array.isArray(outcome) ? outcome.join(": ") : undefined;
    return { id: test.id, kind: kindOf(test), verdict: run.verdicts.get(test.id), message, asks: test.name };
  });
  writeFileSync(json, `${JSON.stringify(all, undefined, 2)}\n`);
});
