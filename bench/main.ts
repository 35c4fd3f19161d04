/**
 * `npm run bench` lists the benchmarks, `npm run -s bench -- <name>` runs one: a table on stderr, one JSON object on stdout.
 */
import { readdirSync } from "node:fs";
import { optionsOf, runScript, UsageError } from "../setup/options.mjs";
import type { Benchmark } from "./benchmark.ts";

const notBenchmarks = ["main.ts", "benchmark.ts"];
const names = readdirSync(import.meta.dirname)
  .filter((file) => file.endsWith(".ts") && !notBenchmarks.includes(file))
  .map((file) => file.slice(0, -3))
  .toSorted();

const load = async (name: string): Promise<Benchmark> => (await import(`./${name}.ts`)) as Benchmark;

await runScript("bench", async (args) => {
  const { words } = optionsOf(args, {}, { words: Number.POSITIVE_INFINITY });
  const name = words.join(" ");
  if (name === "") {
    for (const it of names) console.error(`${it.padEnd(12)}${(await load(it)).title}`);
    console.error("\nRun one: npm run -s bench -- NAME");
    return;
  }
  if (!names.includes(name)) throw new UsageError(`there is no benchmark "${name}". Benchmarks: ${names.join(", ")}.`);
  const { title, run } = await load(name);
  console.error(title);
  const { table, result } = await run((line) => console.error(line));
  console.error(`\n${table}`);
  console.log(JSON.stringify(result));
});
