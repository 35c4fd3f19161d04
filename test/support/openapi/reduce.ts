/**
 * Fly's OpenAPI document, reduced to what a check of answers needs: for each operation and status the shape of the body. Run again when Fly
 * publishes another one: node test/support/openapi/reduce.ts openapi.json > test/support/openapi/answers.json
 * The document: https://docs.machines.dev/spec/openapi3.json
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Answers, Schema } from "./check.ts";

interface Document {
  info: { version: string };
  paths: Record<
    string,
    Record<string, { responses?: Record<string, { content?: Record<string, { schema?: Schema }> }> }>
  >;
  components: { schemas: Record<string, Schema> };
}

const kept = ["type", "properties", "items", "enum", "required", "additionalProperties", "$ref", "nullable", "allOf"];

/** Without what is for people: descriptions, examples, formats. Only schemas that some answer reaches. */
export function reduce(document: Document): Answers {
  const schemas: Record<string, Schema> = {};
  const operations: Answers["operations"] = {};
  for (const [path, methods] of Object.entries(document.paths).toSorted())
    for (const [method, { responses = {} }] of Object.entries(methods))
      for (const [status, { content = {} }] of Object.entries(responses)) {
        const schema = Object.values(content)[0]?.schema;
        operations[`${method.toUpperCase()} ${path}`] ??= {};
        (operations[`${method.toUpperCase()} ${path}`] as Record<string, Schema | null>)[status] = schema
          ? take(schema)
          : null;
      }
  return { operations, schemas: Object.fromEntries(Object.entries(schemas).toSorted()) };

  function take(schema: Schema): Schema {
    const bare = Object.fromEntries(
      Object.entries(schema).flatMap(([key, value]) => {
        if (!kept.includes(key)) return [];
        if (key === "properties")
          return [
            [
              key,
              Object.fromEntries(Object.entries(value as Record<string, Schema>).map(([name, it]) => [name, take(it)])),
            ],
          ];
        if (key === "items" || (key === "additionalProperties" && typeof value === "object"))
          return [[key, take(value as Schema)]];
        if (key === "allOf") return [[key, (value as Schema[]).map(take)]];
        return [[key, value]];
      }),
    ) as Schema;
    const name = bare.$ref?.split("/").at(-1);
    if (name !== undefined && !schemas[name]) {
      schemas[name] = {};
      schemas[name] = take(document.components.schemas[name] ?? {});
    }
    return bare;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url))
  console.log(JSON.stringify(reduce(JSON.parse(readFileSync(process.argv[2] ?? "", "utf8"))), null, 1));
