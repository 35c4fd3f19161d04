/** `doctor`: is everything there that a deployment takes? Each thing that is not comes with its fix. Changes nothing. */
import { table } from "../../local/table.ts";
import { type CliContext, type ExitCode, print, printJson } from "../context.ts";
import { checks } from "../doctor/checks.ts";
import { styled } from "../style.ts";

export interface Finding {
  /** What was looked at. */
  name: string;
  /** `warning`: you can deploy. `skipped`: this stack does not need it, or it cannot be checked before another fault is fixed. */
  verdict: "good" | "warning" | "bad" | "skipped";
  /** What was found. */
  detail: string;
  /** What to do; with `bad` and `warning` alone. */
  fix?: string;
}

export async function doctor(
  context: CliContext,
  asked: string | undefined,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  return showFindings(context, await checks(context, asked), json);
}

/** A line each, then what to do about those that are bad. */
export function showFindings(context: CliContext, findings: readonly Finding[], json: boolean | undefined): ExitCode {
  if (json) printJson(context, findings);
  else {
    const tones = { good: "good", warning: "warning", bad: "bad", skipped: "faint" } as const;
    print(
      context,
      table(findings.map(({ name, verdict, detail }) => [styled(context, tones[verdict], verdict), name, detail])),
    );
    for (const { name, fix } of findings) if (fix !== undefined) print(context, `\n${name}: ${fix}`);
  }
  return findings.some(({ verdict }) => verdict === "bad") ? 3 : 0;
}
