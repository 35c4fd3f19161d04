/** Writes docs/cache-suite.md by running the suite through a PoP: `node tools/docs/cache-suite.ts`. The soak test runs it too, and compares. */
import { writeFileSync } from "node:fs";
import { optionsOf, runScript } from "../../setup/options.mjs";
import { version } from "../../test/soak/cache-suite/package.ts";
import { disagreements, notMet } from "../../test/soak/cache-suite/reasons.ts";
import { type Run, runSuite } from "../../test/soak/cache-suite/run.ts";
import { unmet } from "../../test/soak/cache-suite/unmet.ts";
import { count, type Kind, kindOf, kinds } from "../../test/soak/cache-suite/verdict.ts";

export const cacheSuitePath = new URL("../../docs/cache-suite.md", import.meta.url);

const intro = `# The public HTTP cache test suite

<!-- Written by tools/docs/cache-suite.ts from a run of the suite and from test/soak/cache-suite/unmet.ts: \`node tools/docs/cache-suite.ts\`. -->

[cache-tests.fyi](https://cache-tests.fyi) tests caches against RFC 9111. Its tests (\`http-cache-tests\` ${version} on npm) run here through a real PoP, with one site
that has \`cache: {}\` in front of the suite's own server. \`npm run soak\` runs them and fails if this page is out of date. To run them by hand:
\`node test/soak/cache-suite/main.ts\`.

- *Required* tests check what the RFC requires of a cache.
- *Optimal* tests check what it permits and a good cache does.
- A *check* has no right answer: it shows what a cache does.

As on the suite's own pages, a test counts only if all the tests it depends on have passed.

`;

const meaning: Record<Kind, [yes: string, no: string]> = {
  required: ["met", "not met"],
  optimal: ["met", "not met"],
  check: ["yes", "no"],
};

/** docs/cache-suite.md as it should be. */
export function cacheSuitePage({ tests, verdicts }: Pick<Run, "tests" | "verdicts">, reasons = unmet): string {
  const counts = count(tests, verdicts);
  const rows = kinds.map((kind) => {
    const { passed, failed, ...others } = counts[kind];
    const [yes, no] = meaning[kind];
    const rest = Object.values(others).reduce((sum, number) => sum + number, 0);
    return `| ${kind} | ${passed} ${yes} | ${failed} ${no} | ${rest} |`;
  });
  const sections = (["required", "optimal"] as const).flatMap((kind) => {
    const those = notMet({ tests, verdicts }).filter((test) => kindOf(test) === kind);
    if (those.length === 0) return [];
    const lines = those.map(({ id }) => {
      const verdict = verdicts.get(id) === "failed" ? "" : " (not judged)";
      return `| [${id}](https://cache-tests.fyi/?id=${encodeURIComponent(id)})${verdict} | ${reasons[id] ?? ""} |`;
    });
    return [`\n## Not met: ${kind}\n`, "| Test | Why |", "| --- | --- |", ...lines];
  });
  return `${intro}${["| Kind | | | Not judged |", "| --- | --: | --: | --: |", ...rows, ...sections].join("\n")}\n`;
}

if (import.meta.main)
  await runScript("docs/cache-suite", async (args) => {
    optionsOf(args, {});
    const run = await runSuite({ log: (line) => console.error(line) });
    const wrong = disagreements(run, unmet);
    if (wrong.length > 0)
      throw new Error(`docs/cache-suite.md was not written, ${wrong.length} tests disagree:\n${wrong.join("\n")}`);
    writeFileSync(cacheSuitePath, cacheSuitePage(run));
  });
