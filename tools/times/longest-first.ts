import { BaseSequencer, type TestSpecification } from "vitest/node";
import { fileOf, knownTimes } from "./times.ts";

/**
 * The longest files first, whatever their project: begun last, one would run alone at the end. Vitest's own order has one project after the other, so that
 * files that wait are not beside those that compute.
 */
export default class LongestFirst extends BaseSequencer {
  override async sort(specifications: TestSpecification[]): Promise<TestSpecification[]> {
    const times = knownTimes();
    const group = ({ project }: TestSpecification) => project.config.sequence.groupOrder;
    const seconds = ({ moduleId }: TestSpecification) => times[fileOf(moduleId)] ?? 0;
    const other = await super.sort(specifications);
    // Stable: files of which no time is known stay in vitest's order.
    return other.toSorted((a, b) => group(a) - group(b) || seconds(b) - seconds(a));
  }
}
