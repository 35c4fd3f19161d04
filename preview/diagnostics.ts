/** Extracts the original message from the engine's diagnostics. Pure. */
import { plainText } from "../stack/engine-text.ts";

/**
 * A failed check of ours arrives as `TYPE resource 'NAME': property sizeGb value {2} has a problem: cdg-1: ...`: our message names the PoP and is complete.
 * https://github.com/pulumi/pulumi, pkg/resource/deploy/step_generator.go, issueCheckFailures
 */
export const diagnosticText = (message: string): string =>
  plainText(message)
    .replace(/^(error|warning): /, "")
    .replace(/^pulumi-nodejs:dynamic\/\S+ resource '[^']*'(?:: property \S+ value \{[\s\S]*?\})? has a problem: /, "");
