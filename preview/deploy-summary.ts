/** `npm run -s deploy:summary -- --stack STACK --outcome success|failure --log FILE [--release N]`: prints the result of a deployment as Markdown. */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { optionsOf } from "../setup/options.mjs";
import { runPulumi } from "../stack/pulumi-cli.ts";
import { type DeployResult, deployMarkdown } from "./deploy-markdown.ts";
import { readEdgeConfig } from "./stack-files.ts";

const { values } = optionsOf(process.argv.slice(2), {
  stack: { type: "string", default: "" },
  outcome: { type: "string", default: "" },
  release: { type: "string", default: "" },
  log: { type: "string", default: "" },
});
const name = values.stack.split("/").at(-1) ?? "";

/** Ignores errors: the deployment is over, and a summary without some facts is better than none. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined;
  }
}

const { stdout } = await runPulumi(["stack", "output", "--json", "--stack", values.stack], {
  dir: process.cwd(),
  env: process.env,
}).catch(() => ({ stdout: "" }));
const outputs = attempt(() => JSON.parse(stdout) as NonNullable<DeployResult["outputs"]>);
process.stdout.write(
  deployMarkdown({
    stack: name,
    isDone: values.outcome === "success",
    ...(values.release && { release: values.release }),
    ...(outputs && { outputs }),
    log: existsSync(values.log) ? readFileSync(values.log, "utf8") : "",
  }),
);
const host = attempt(() => readEdgeConfig(process.cwd(), name, process.env).image.sites[0]?.host);
if (host !== undefined && process.env.GITHUB_OUTPUT) appendFileSync(process.env.GITHUB_OUTPUT, `url=https://${host}\n`);
