/**
 * `node test/soak/cache-suite/main.ts` runs the public suite of HTTP caches through a PoP and prints what it found.
 * `--only PREFIX` runs the tests whose ids begin so, `--dump` prints their requests and answers, `--json FILE` writes all there is to know.
 * `--image REF` and `--nginx-conf FILE` try another image or configuration; `--print-conf` prints the one of this checkout and runs nothing.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { renderedFiles } from "../../../image/context.ts";
import { report } from "./report.ts";
import { runSuite } from "./run.ts";
import { spec } from "./spec.ts";
import { kindOf } from "./verdict.ts";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    json: { type: "string" },
    image: { type: "string" },
    "nginx-conf": { type: "string" },
    dump: { type: "boolean", default: false },
    "print-conf": { type: "boolean", default: false },
  },
});

if (values["print-conf"]) console.log(renderedFiles(spec)["etc/nginx/nginx.conf"]);
else {
  const { only, image, "nginx-conf": nginxConf, dump, json } = values;
  const run = await runSuite({
    ...(only === undefined ? {} : { only }),
    ...(image === undefined ? {} : { image }),
    ...(nginxConf === undefined ? {} : { nginxConf }),
    dump,
    log: (line) => console.error(line),
  });
  console.log(report(run));
  console.error(`${(run.took / 1000).toFixed(1)} s`);
  if (json !== undefined) {
    const all = run.tests.map((test) => {
      const outcome = run.outcomes[test.id];
      const message = Array.isArray(outcome) ? outcome.join(": ") : undefined;
      return { id: test.id, kind: kindOf(test), verdict: run.verdicts.get(test.id), message, asks: test.name };
    });
    writeFileSync(json, `${JSON.stringify(all, undefined, 2)}\n`);
  }
}
