/** A stack file whose wrong values are left out, so that rules can judge the rest in the same round. */
import type { StackFile } from "./schema.ts";
import type { Path } from "./walk.ts";

type Partially<T> = T extends readonly (infer E)[]
  ? (Partially<E> | undefined)[]
  : T extends object
    ? { [K in keyof T]?: Partially<T[K]> | undefined }
    : T;

export interface Sketch {
  /** Only values that passed the schema, as they were written. */
  file: Partially<StackFile>;
  /** The value is wrong, or its key misspelt: not to be taken as absent. */
  unclear(...path: Path): boolean;
}

export function sketch(raw: unknown, unclear: readonly Path[]): Sketch {
  const isUnclear = (path: Path) => unclear.some((it) => it.every((key, index) => path[index] === key));
  const clear = (value: unknown, path: Path): unknown => {
    if (isUnclear(path)) return undefined;
    if (Array.isArray(value)) return value.map((it, index) => clear(it, [...path, index]));
    if (typeof value !== "object" || value === null) return value;
    // zod passes over __proto__, so what is under it was not judged.
    const isJudged = (key: string) => key !== "__proto__";
    return Object.fromEntries(
      Object.entries(value).map(([key, it]) => [key, isJudged(key) ? clear(it, [...path, key]) : undefined]),
    );
  };
  return {
    // What the schema refused is gone; unknown keys stay, where no rule looks.
    file: (clear(raw, []) ?? {}) as Partially<StackFile>,
    unclear: (...path) => isUnclear(path),
  };
}
