/** Holds every answer of local Fly against Fly's own OpenAPI document. */
import { Ajv } from "ajv";
import answers from "./answers.json" with { type: "json" };
import { deviations } from "./deviations.ts";

export interface Schema {
  type?: string;
  properties?: Record<string, Schema>;
  items?: Schema;
  enum?: unknown[];
  required?: string[];
  additionalProperties?: boolean | Schema;
  $ref?: string;
  nullable?: boolean;
  allOf?: Schema[];
}

export interface Answers {
  /** By "METHOD /path/{parameter}", then by status; null: the document knows of no body. */
  operations: Record<string, Record<string, Schema | null>>;
  schemas: Record<string, Schema>;
}

const { operations, schemas } = answers as unknown as Answers;

// Fields the document does not know are as much a finding as fields of another type.
const closed = (schema: Schema): Schema => ({
  ...schema,
  ...(schema.properties
    ? {
        properties: Object.fromEntries(Object.entries(schema.properties).map(([name, it]) => [name, closed(it)])),
        additionalProperties: schema.additionalProperties ?? false,
      }
    : {}),
  ...(schema.items ? { items: closed(schema.items) } : {}),
});

const ajv = new Ajv({ allErrors: true, strict: false });
ajv.addSchema({
  $id: "https://fly.test/",
  components: { schemas: Object.fromEntries(Object.entries(schemas).map(([name, it]) => [name, closed(it)])) },
});
const templates = Object.keys(operations).map((operation) => ({
  operation,
  matches: new RegExp(`^${operation.replaceAll(/\{\w+\}/g, "[^/]+")}$`),
}));

/** What is wrong with an answer, each thing as "operation status path: why"; what the list of deviations explains is left out. */
export function wrongAnswers(method: string, path: string, status: number, body: string): string[] {
  const call = `${method} ${path.replace(/^\/v1/, "")}`;
  const operation = templates.find(({ matches }) => matches.test(call))?.operation;
  if (operation === undefined) return [];
  const schema = operations[operation]?.[String(status)];
  if (schema === undefined || schema === null || body === "") return [];
  const key = `${operation} ${status}`;
  if (!ajv.getSchema(key))
    ajv.addSchema(JSON.parse(JSON.stringify(schema).replaceAll("#/comp", "https://fly.test/#/comp")), key);
  const validate = ajv.getSchema(key);
  if (validate?.(JSON.parse(body))) return [];
  const found = (validate?.errors ?? []).map(({ instancePath, message, params }) => {
    const at = instancePath.replaceAll(/\/\d+(?=\/|$)/g, "/*");
    return `${key} ${at}${params.additionalProperty ? `/${params.additionalProperty}` : ""}: ${message}`;
  });
  return [...new Set(found)].filter((it) => !deviations.some(({ finding }) => finding.test(it)));
}
