/** What hosts do to PoPs, as the program tells it: those that were skipped, and those that share one. */
import * as pulumi from "@pulumi/pulumi";
import { sharedHostWarnings } from "./placement.ts";
import type { Pop } from "./pop.ts";

/** Ends the run as failed, with nothing said about it but what was said already: a word between Pulumi's Node host and its language plugin. */
const exitCodeAlreadyReported = 32;

/**
 * A PoP whose host is away is skipped by its handler, which for the engine is a success, so that the others go on. That the whole is none is said
 * here, once all that could be done is done: as an error, and by the exit code of `up`.
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

export function skippedText(names: readonly string[]): string {
  const why =
    names.length === 1
      ? "was skipped, because its host does not answer"
      : "were skipped, because their hosts do not answer";
  return `${names.join(", ")} ${why}. All other PoPs are up to date. What was to be removed is removed by the next run. Run it again when https://status.flyio.net says that the host is back; if it stays away: npx fly-pops replace POP`;
}

/** Warns of PoPs of one region on one host: it fails, and both are away. */
export function warnOfSharedHosts(pops: Readonly<Record<string, Pop>>): void {
  // By region, so that a volume that is still to be made hides only its neighbours.
  for (const some of Map.groupBy(Object.entries(pops), ([, { region }]) => region).values())
    if (some.length > 1)
      pulumi.all(some.map(([name, { zone }]) => zone.apply((it) => ({ name, zone: it })))).apply((placed) => {
        for (const warning of sharedHostWarnings(placed)) pulumi.log.warn(warning);
      });
}
