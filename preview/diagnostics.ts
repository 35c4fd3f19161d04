/** The engine's errors, as far as they have a shape of their own, in the words they were written with. Pure. */
import { plainText } from "./digest.ts";

/**
 * A check of ours that failed comes as `TYPE resource 'NAME': property sizeGb value {2} has a problem: cdg-1: ...`: the sentence names the PoP, and says all.
 * https://github.com/pulumi/pulumi, pkg/resource/deploy/step_generator.go, issueCheckFailures
 */
export const diagnosticText = (message: string): string =>
  plainText(message)
    .replace(/^(error|warning): /, "")
    .replace(/^pulumi-nodejs:dynamic\/\S+ resource '[^']*'(?:: property \S+ value \{[\s\S]*?\})? has a problem: /, "");
