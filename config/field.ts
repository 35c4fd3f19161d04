/** What every part of the schema is built with: the manual's words for a key, and leaves that say in a clause why they refuse. */
import { z } from "zod";
import { parseSeconds } from "./duration.ts";
import { suggest } from "./suggest.ts";

/** What the manual says of a key. */
export interface Field {
  type: string;
  /** Of numbers. */
  unit?: string;
  /** Of a map: what its keys are, as in `<code>`. */
  key?: string;
  /** Completes "expected ...": what is allowed, with unit. */
  takes: string;
  meaning: string;
  /** Markdown: as written in a stack file, or in words where it depends. Absent: the key is required. */
  default?: string;
  /** Refused though it looks allowed. */
  refused?: string;
}

export const fields = z.registry<Field>();

/** A text with a rule of its own, whose clause says what is wrong. */
export const stringField = (problem: (text: string) => string | undefined) =>
  z.string().superRefine((value, context) => {
    const reason = problem(value);
    if (reason !== undefined) context.addIssue({ code: "custom", params: { reason }, input: value });
  });

/** Rejects the value, or the element at `path` in it. Without a reason the message quotes the field's `takes`. */
export type Reject = (reason: string | undefined, path?: number[]) => void;

/** Several shapes, checked by hand: a union of schemas would forget which of them was meant, and why it refused. */
export const customField = <T>(check: (value: unknown, refuse: Reject) => void) =>
  z.custom<T>().superRefine((value: unknown, context) => {
    check(value, (reason, path = []) => context.addIssue({ code: "custom", params: { reason }, path, input: value }));
  });

/** One text or a list of them. */
export const stringOrList = ({
  problem,
  most,
  tooMany = `expected 1 to ${most} entries`,
  other,
}: {
  problem: (text: string) => string | undefined;
  most: number;
  /** The clause for a list of another length. */
  tooMany?: string;
  /** The clause for what is no text. */
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

/** One of a few words, with the nearest suggested. */
export const enumField = (words: readonly string[], noun: string, reasons: ReadonlyMap<string, string> = new Map()) =>
  stringField((value) => {
    if (words.includes(value)) return undefined;
    const meant = suggest(value, words);
    return (
      reasons.get(value) ??
      `no such ${noun}${meant === undefined ? "." : `; did you mean ${meant}?`} Expected ${orList(words)}`
    );
  });

/** As YAML in the manual. */
export const code = (value: unknown): string => `\`${value}\``;

/** `a, b or c`. */
export const orList = (words: readonly string[]): string => `${words.slice(0, -1).join(", ")} or ${words.at(-1)}`;

/** A length of time between two others, written as the stack file writes them. */
export const durationField = (from: string, to: string) =>
  z.custom<string | number>((value) => {
    const given = parseSeconds(value);
    return given !== undefined && given >= (parseSeconds(from) ?? 0) && given <= (parseSeconds(to) ?? 0);
  });
export const durationDescription = (from: string, to: string) =>
  `a duration from ${from} to ${to}: a number with s, m, h or d, or plain seconds`;

/** The schema of the map inside a `falseOr` or a `textOr`. */
export const innerMaps = new WeakMap<z.core.$ZodType, z.ZodObject>();

/** A map, or `false` to turn off what it sets. By hand: a union of schemas would forget why the map was refused. */
export function mapOrFalse<Map extends z.ZodObject>(map: Map) {
  const schema = z.custom<z.infer<Map> | false>().superRefine((value: unknown, context) => {
    if (value === false) return;
    for (const issue of map.safeParse(value).error?.issues ?? [])
      context.addIssue({ ...issue, input: value } as Parameters<typeof context.addIssue>[0]);
  });
  innerMaps.set(schema, map);
  return schema;
}

/** A text with a rule of its own, or a map. */
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
