/** What is known of the recipients of a secrets file: the operators' keys from .sops.yaml, the PoPs' from the state. */
import type { SopsFile } from "../sops/file.ts";
import { type Known, type PopRecipients, recipientsOf } from "../sops/recipients.ts";
import { rulesFor } from "../sops/rules-file.ts";
import { type CliContext, note } from "./context.ts";
import { pulumiOutput } from "./pulumi.ts";
import type { Stack } from "./stack.ts";

/** What is needed to classify the recipients, as far as it is available. */
export async function knownRecipients(
  context: CliContext,
  stack: Stack,
  path: string,
  parsed: SopsFile,
): Promise<Known> {
  const here = { stack: stack.name, operators: rulesFor(path)?.rule.recipients ?? [] };
  // The file lists its recipients, but only the state knows which of them are current PoPs. Without such recipients the state is not needed.
  if (recipientsOf(parsed, here).every(({ who }) => who === "operator")) return { ...here, pops: {} };
  try {
    return { ...here, pops: await popRecipients(context, stack) };
  } catch (error) {
    note(context, `Could not determine which recipients are PoPs: ${(error as Error).message}`);
    return here;
  }
}

export async function popRecipients(context: CliContext, stack: Stack): Promise<PopRecipients> {
  const doing = `${stack.name}: could not read the recipients of its PoPs`;
  const text = await pulumiOutput(context, doing, ["stack", "output", "--json", "--stack", stack.reference], stack.env);
  return (JSON.parse(text) as { recipients?: PopRecipients }).recipients ?? {};
}
