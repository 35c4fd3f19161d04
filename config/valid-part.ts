/** The valid part of a stack file: invalid values are left out, so that the rules can check the rest in the same run. */
import type { StackFile } from "./schema.ts";
import type { Path } from "./schema-path.ts";

type DeepPartial<T> = T extends readonly (infer E)[]
  ? (DeepPartial<E> | undefined)[]
  : T extends object
    ? { [K in keyof T]?: DeepPartial<T[K]> | undefined }
    : T;

export interface ValidPart {
  /** Only values that passed the schema, as the user wrote them. */
  file: DeepPartial<StackFile>;
  /** Whether the value at this path is invalid or its key misspelt. A rule must not treat it as absent. */
  isInvalid(...path: Path): boolean;
}

export function dropInvalid(raw: unknown, invalidPaths: readonly Path[]): ValidPart {
  const isInvalid = (path: Path) => invalidPaths.some((it) => it.every((key, index) => path[index] === key));
  const validValue = (value: unknown, path: Path): unknown => {
    if (isInvalid(path)) return undefined;
    if (Array.isArray(value)) return value.map((it, index) => validValue(it, [...path, index]));
    if (typeof value !== "object" || value === null) return value;
    // zod skips __proto__, so nothing below it was validated.
    const isValidated = (key: string) => key !== "__proto__";
    return Object.fromEntries(
      Object.entries(value).map(([key, it]) => [key, isValidated(key) ? validValue(it, [...path, key]) : undefined]),
    );
  };
  return {
    // Unknown keys stay: no rule looks at them.
    file: (validValue(raw, []) ?? {}) as DeepPartial<StackFile>,
    isInvalid: (...path) => isInvalid(path),
  };
}
