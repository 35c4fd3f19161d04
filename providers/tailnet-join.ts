/**
 * Checks that a PoP that has not joined its tailnet yet has a valid auth key. With an expired one it would never get its certificates, for no visible reason.
 */
import { z } from "zod";
import type { Context } from "./handler.ts";

/** How a PoP joins its tailnet. */
export const TailnetJoin = z.strictObject({
  /** Its name in the tailnet, e.g. pop-cdg-1. */
  node: z.string().min(1),
  driver: z.enum(["tailscale", "headscale"]),
  /** URL of the control server. Absent: Tailscale's own. */
  server: z.string().optional(),
  /** PEM of the CA certificates to trust for it instead of the public ones. */
  ca: z.string().optional(),
  /** When its auth key expires, RFC 3339. */
  expires: z.string().min(1),
});
export type TailnetJoin = z.infer<typeof TailnetJoin>;

/**
 * Throws if the auth key has expired and the tailnet has no such node (a node has its own key on its volume). Only logs if the tailnet cannot be read.
 * Calls the control server only if the key has expired.
 */
export async function assertKeyUsable(pop: string, joins: TailnetJoin | undefined, context: Context): Promise<void> {
  if (joins === undefined || !(Date.parse(joins.expires) < context.clock.now())) return;
  const { node, expires } = joins;
  let known: boolean | undefined;
  try {
    known = (await context.tailnet(joins).devices())?.some(({ hostname }) => hostname === node);
  } catch {
    known = undefined;
  }
  if (known === true) return;
  if (known === false)
    throw new Error(
      `${pop}: no machine created or changed: its auth key expired at ${expires} and ${node} is not in the tailnet, so it could never join. Run again with --refresh, which creates another key: npx pulumi up --refresh`,
    );
  context.log(
    `${pop}: its auth key expired at ${expires}, and the tailnet could not be asked whether ${node} has joined. If it does not join: npx pulumi up --refresh`,
  );
}
