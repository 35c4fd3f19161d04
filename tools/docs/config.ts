/** Writes docs/config.md from the schema: `npm run docs`. A test compares, so that the manual matches the validation. */
import type { z } from "zod";
import { StackFile } from "../../config/schema.ts";
import { fieldOf, schemaNode } from "../../config/schema-path.ts";

export const referencePath = new URL("../../docs/config.md", import.meta.url);

const intro = `# Configuration

<!-- Written by tools/docs/config.ts from config/schema.ts: change it there, then run \`npm run docs\`. -->

The configuration of a stack is in \`Pulumi.<stack>.yaml\`, under \`fly-pops:\`. Invalid values, misspelled keys and keys that exclude each other are
all reported at once, before anything is created. The order of keys does not matter.

\`\`\`yaml
config:
  fly-pops:app: my-edge
  fly-pops:regions: { cdg: {}, ewr: { replicas: 2, memoryMb: 512 } }
  fly-pops:sites:
    - { host: www.example.org, origin: "https://web.tail.example:8443", cache: { maxAge: 10m } }
    - { host: example.org, redirect: "https://www.example.org" }
\`\`\`

Nothing under \`fly-pops:\` is secret, because it is rendered into the image and stored in state as plain text. Encrypted values are refused there.

## Keys

`;

const outside = `
## Keys of the providers

These keys are in the stack file too, in namespaces of their own. Pulumi.yaml cannot declare keys of another namespace, so
\`pulumi config\` does not describe them.

| Key | Type | Default | Meaning |
| --- | --- | --- | --- |
| \`fly:token\` | string, secret | \`FLY_API_TOKEN\`, then \`FLY_ACCESS_TOKEN\` of the environment | Token of the Fly API and of Fly's registry. \`pulumi config set --secret fly:token\`. |
| \`fly:endpoint\` | string | \`FLY_API_HOSTNAME\` of the environment, then \`https://api.machines.dev\` | Base URL of the Machines API, without \`/v1\`. |
| \`tailscale:oauthClientId\`, \`tailscale:oauthClientSecret\` | string, secret | \`TAILSCALE_OAUTH_CLIENT_ID\`, \`TAILSCALE_OAUTH_CLIENT_SECRET\` of the environment | OAuth client that creates auth keys (\`tailnet.controlPlane: tailscale\`): scopes \`auth_keys\` and \`devices:core\`, owner of the PoPs' tags. |
| \`tailscale:apiKey\` | string, secret | \`TAILSCALE_API_KEY\` of the environment | Instead of the OAuth client. |
| \`tailscale:tailnet\` | string | \`TAILSCALE_TAILNET\` of the environment, then \`-\` | The tailnet; \`-\` is the one the credentials belong to. |
| \`tailscale:baseUrl\` | string | \`TAILSCALE_BASE_URL\` of the environment, then \`https://api.tailscale.com\` | Base URL of Tailscale's API. |
| \`headscale:apiKey\` | string, secret | \`HEADSCALE_API_KEY\` of the environment | API key of headscale (\`tailnet.controlPlane: headscale\`). |
| \`headscale:endpoint\` | string | \`HEADSCALE_ENDPOINT\` of the environment, then \`tailnet.loginServer\` | Base URL of headscale's API, if it is not the URL at which nodes log in. |
| \`fly:registry\` | string | \`FLY_REGISTRY_HOST\` of the environment, then \`registry.fly.io\` | Registry the image is pushed to, as host or host:port. |
`;

/** docs/config.md as it should be. */
export function configReference(): string {
  const head = "| Key | Type | Default | Meaning | Takes | Refused |\n| --- | --- | --- | --- | --- | --- |\n";
  return `${intro}${head}${rows("", StackFile).join("\n")}\n${outside}`;
}

/** A row for everything below this schema, in the schema's order. */
function rows(path: string, schema: z.core.$ZodType): string[] {
  const here = schemaNode(schema);
  switch (here.kind) {
    case "object":
      return Object.entries(here.keys).flatMap(([key, child]) => rowsOf(path === "" ? key : `${path}.${key}`, child));
    case "map":
      return rowsOf(`${path}.${fieldOf(schema)?.key ?? "<key>"}`, here.element);
    case "list":
      return rowsOf(`${path}[]`, here.element);
    case "leaf":
      return [];
    default:
      return here satisfies never;
  }
}

function rowsOf(path: string, schema: z.core.$ZodType): string[] {
  const field = fieldOf(schema);
  if (field === undefined) throw new Error(`${path} has no text in config/schema.ts: the manual would not know it.`);
  // An entry of a map or list is optional; its own keys say which of them it requires.
  const required = /[\]>]$/.test(path) ? "" : "**required**";
  const type = field.unit === undefined ? field.type : `${field.type}, ${field.unit}`;
  const cells = [`\`${path}\``, type, field.default ?? required, field.meaning, field.takes, field.refused ?? ""];
  return [`| ${cells.map((it) => it.replaceAll("|", "\\|")).join(" | ")} |`, ...rows(path, schema)];
}
