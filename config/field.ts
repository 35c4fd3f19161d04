/** Building blocks of the schema: the documentation of a key, and fields that explain in a clause why they reject a value. */
import { z } from "zod";
import { parseSeconds } from "./duration.ts";
import { suggest } from "./suggest.ts";

/** The documentation of a key. */
export interface Field {
  type: string;
  /** For numbers. */
  unit?: string;
  /** For maps: what its keys are, as in `<code>`. */
  key?: string;
  /** Completes "expected ...": what is allowed, with unit. */
  takes: string;
  meaning: string;
  /** Markdown: the value as written in a stack file, or a description if it depends on something. Absent: the key is required. */
  default?: string;
  /** Values that are rejected although they look valid. */
  refused?: string;
}

export const fields = z.registry<Field>();

/** A string with a validator, which returns what is wrong as a clause. */
export const stringField = (problem: (text: string) => string | undefined) =>
  z.string().superRefine((value, context) => {
    const reason = problem(value);
    if (reason !== undefined) context.addIssue({ code: "custom", params: { reason }, input: value });
  });

/** Rejects the value, or the element at `path` in it. Without a reason the message quotes the field's `takes`. */
export type Reject = (reason: string | undefined, path?: number[]) => void;

/** A field of several shapes with its own check. A union of schemas would lose which shape was meant and why it was rejected. */
export const customField = <T>(check: (value: unknown, refuse: Reject) => void) =>
  z.custom<T>().superRefine((value: unknown, context) => {
    check(value, (reason, path = []) => context.addIssue({ code: "custom", params: { reason }, path, input: value }));
  });

/** A string or a list of strings. */
export const stringOrList = ({
  problem,
  most,
  tooMany = `expected 1 to ${most} entries`,
  other,
}: {
  problem: (text: string) => string | undefined;
  most: number;
  /** The clause for a list that is empty or too long. */
  tooMany?: string;
  /** The clause for a value that is not a string. */
  other: string;
}) =>
  customField<string | string[]>((value, refuse) => {
    const reasonOf = (it: unknown) => (typeof it === "string" ? problem(it) : other);
    if (!Array.isArray(value)) {
      const reason = reasonOf(value);
      if (typeof value !== "string") refuse(undefined);
      else if (reason !== undefined) refuse(reason);
      return;
    }
    if (value.length === 0 || value.length > most) refuse(tooMany);
    value.forEach((it: unknown, at) => {
      const reason = reasonOf(it);
      if (reason !== undefined) refuse(reason, [at]);
    });
  });

/** One of several strings. Suggests the closest one. */
export const enumField = (words: readonly string[], noun: string, reasons: ReadonlyMap<string, string> = new Map()) =>
  stringField((value) => {
    if (words.includes(value)) return undefined;
    const meant = suggest(value, words);
    return (
      reasons.get(value) ??
      `no such ${noun}${meant === undefined ? "." : `; did you mean ${meant}?`} Expected ${orList(words)}`
    );
  });

/** A value as code in the documentation. */
export const code = (value: unknown): string => `\`${value}\``;

/** `a, b or c`. */
export const orList = (words: readonly string[]): string => `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

/** A duration within bounds, in the stack file's notation. */
export const durationField = (from: string, to: string) =>
  z.custom<string | number>((value) => {
    const given = parseSeconds(value);
    return given !== undefined && given >= (parseSeconds(from) ?? 0) && given <= (parseSeconds(to) ?? 0);
  });
export const durationDescription = (from: string, to: string) =>
  `a duration from ${from} to ${to}: a number with s, m, h or d, or plain seconds`;

/** The schema of the map inside a `falseOr` or a `textOr`. */
export const innerMaps = new WeakMap<z.core.$ZodType, z.ZodObject>();

/** A map, or `false` to turn off what it sets. Not a union of schemas, which would lose why the map was rejected. */
export function mapOrFalse<Map extends z.ZodObject>(map: Map) {
  const schema = z.custom<z.infer<Map> | false>().superRefine((value: unknown, context) => {
    if (value === false) return;
    for (const issue of map.safeParse(value).error?.issues ?? [])
      context.addIssue({ ...issue, input: value } as Parameters<typeof context.addIssue>[0]);
  });
  innerMaps.set(schema, map);
  return schema;
}

/** A string with a validator, or a map. */
export function stringOrMap<Map extends z.ZodObject>(problem: (text: string) => string | undefined, map: Map) {
  const schema = z.custom<string | z.infer<Map>>().superRefine((value: unknown, context) => {
    const refuse = (reason: string | undefined) =>
      context.addIssue({ code: "custom", params: { reason }, path: [], input: value });
    if (typeof value === "string") {
      const reason = problem(value);
      if (reason !== undefined) refuse(reason);
    } else if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(undefined);
    else
      for (const issue of map.safeParse(value).error?.issues ?? [])
        context.addIssue({ ...issue, input: value } as Parameters<typeof context.addIssue>[0]);
  });
  innerMaps.set(schema, map);
  return schema;
}

export const intField = (from: number, to: number) => z.int().min(from).max(to);
export const intDescription = (from: number, to: number, unit: string) =>
  `a whole number of ${unit} from ${from} to ${to}`;
