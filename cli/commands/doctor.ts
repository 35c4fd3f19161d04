/** `doctor`: is everything there that a deployment takes? Each thing that is not comes with its fix. Changes nothing. */
import { table } from "../../lib/table.ts";
import { type CliContext, type ExitCode, print, printJson } from "../context.ts";
import { checks } from "../doctor/checks.ts";
import type { Finding } from "../doctor/finding.ts";
import { styled } from "../style.ts";

export async function doctor(
  context: CliContext,
  asked: string | undefined,
  { json }: { json?: boolean },
): Promise<ExitCode> {
  return showFindings(context, await checks(context, asked), json);
}

/** A line each, then what to do about those that failed. */
export function showFindings(context: CliContext, findings: readonly Finding[], json: boolean | undefined): ExitCode {
  if (json) printJson(context, findings);
  else {
    const tones = { ok: "good", warning: "warning", failed: "bad", skipped: "faint" } as const;
    print(
      context,
      table(findings.map(({ name, status, detail }) => [styled(context, tones[status], status), name, detail])),
    );
    for (const { name, fix } of findings) if (fix !== undefined) print(context, `\n${name}: ${fix}`);
  }
  return findings.some(({ status }) => status === "failed") ? 3 : 0;
}
