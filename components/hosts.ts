/** Reports PoPs that were skipped because their host is down, and PoPs that share a host. */
import * as pulumi from "@pulumi/pulumi";
import { sharedHostWarnings } from "./placement.ts";
import type { Pop } from "./pop.ts";

/** Exit code of the program that makes the run fail without a further message, as defined by Pulumi's Node language host. */
const exitCodeAlreadyReported = 32;

/**
 * Makes `up` fail if PoPs were skipped. For the engine a skipped PoP is a success, so that the others are updated; after all of them, this logs an error
 * and sets the exit code.
 */
export function failIfSkipped(pops: Readonly<Record<string, Pop>>): void {
  const all = Object.entries(pops).map(([name, pop]) => pop.skipped.apply((skipped) => (skipped ? [name] : [])));
  pulumi.all(all).apply((names) => {
    const skipped = names.flat();
    if (skipped.length === 0) return;
    pulumi.log.error(skippedText(skipped));
    process.exitCode = exitCodeAlreadyReported;
  });
}

function skippedText(names: readonly string[]): string {
  const why =
    names.length === 1
      ? "was skipped, because its host does not answer"
      : "were skipped, because their hosts do not answer";
  return `${names.join(", ")} ${why}. All other PoPs are up to date. What was to be removed is removed by the next run. Run again when https://status.flyio.net reports that the host is back; if it stays down: npx fly-pops replace POP`;
}

/** Warns of PoPs of one region that share a host: if it fails, all of them are down. */
export function warnOfSharedHosts(pops: Readonly<Record<string, Pop>>): void {
  // By region, so that the unknown zone of a volume to be created hides only the warnings of its region.
  for (const some of Map.groupBy(Object.entries(pops), ([, { region }]) => region).values())
    if (some.length > 1)
      pulumi.all(some.map(([name, { zone }]) => zone.apply((it) => ({ name, zone: it })))).apply((placed) => {
        for (const warning of sharedHostWarnings(placed)) pulumi.log.warn(warning);
      });
}
