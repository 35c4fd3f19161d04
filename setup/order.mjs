/** Steps side by side, each when those it needs are done. */

/**
 * @template T
 * @param {{ step: T, after?: T[] }[]} steps in an order in which each comes after those it needs; needs that are not among them count as met
 * @param {(step: T) => Promise<void>} take rejects when a step failed: steps that come after it are not taken, all others are
 * @returns {Promise<boolean>} whether all were taken and none failed
 */
export async function inOrder(steps, take) {
  /** @type {Map<T, Promise<void>>} */
  const begun = new Map();
  for (const { step, after = [] } of steps) {
    const needs = Promise.all(after.map((it) => begun.get(it)));
    begun.set(
      step,
      needs.then(() => take(step)),
    );
  }
  return (await Promise.allSettled(begun.values())).every((it) => it.status === "fulfilled");
}
