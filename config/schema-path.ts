/** Access to the schema by path: the schema and documentation of a key. Error messages and docs/config.md are made from it. */
import { z } from "zod";
import { type Field, fields, innerMaps } from "./field.ts";

export type Path = readonly (string | number)[];

/** Children of a schema: keys by name, `*` for a map's values, `[]` for a list's elements. */
export type SchemaNode =
  | { kind: "object"; keys: Readonly<Record<string, z.core.$ZodType>> }
  | { kind: "map" | "list"; element: z.core.$ZodType }
  | { kind: "leaf" };

export function schemaNode(schema: z.core.$ZodType): SchemaNode {
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodNullable) return schemaNode(schema.unwrap());
  const map = innerMaps.get(schema);
  if (map !== undefined) return schemaNode(map);
  if (schema instanceof z.ZodObject) return { kind: "object", keys: schema.shape };
  if (schema instanceof z.ZodRecord) return { kind: "map", element: schema.valueType };
  if (schema instanceof z.ZodArray) return { kind: "list", element: schema.element };
  return { kind: "leaf" };
}

/** The documentation of a schema, however it is wrapped. */
export function fieldOf(schema: z.core.$ZodType): Field | undefined {
  const field = fields.get(schema);
  if (field !== undefined) return field;
  const wrapped = schema instanceof z.ZodOptional || schema instanceof z.ZodNullable;
  return wrapped ? fieldOf(schema.unwrap()) : undefined;
}

/** The schema at a path, undefined where there is none. */
export function schemaAt(schema: z.core.$ZodType, path: Path): z.core.$ZodType | undefined {
  const [key, ...rest] = path;
  if (key === undefined) return schema;
  const here = schemaNode(schema);
  if (here.kind === "leaf") return undefined;
  const child = here.kind === "object" ? here.keys[String(key)] : here.element;
  return child === undefined ? undefined : schemaAt(child, rest);
}

/** The value at a path of plain data, or undefined. */
export function valueAt(data: unknown, path: Path): unknown {
  return path.reduce<unknown>(
    (value, key) => (typeof value === "object" && value !== null ? (value as Record<string, unknown>)[key] : undefined),
    data,
  );
}

/** As Pulumi writes paths: `sites[1].cache.maxAge`, `luggage["two words"]`. */
export function pathText(path: Path): string {
  return path.reduce<string>((text, key) => {
    if (typeof key === "number") return `${text}[${key}]`;
    if (!/^[\w-]+$/.test(key)) return `${text}[${JSON.stringify(key)}]`;
    return text === "" ? key : `${text}.${key}`;
  }, "");
}
