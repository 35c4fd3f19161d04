/** A PoP that has yet to join its tailnet needs a key that is still good: without one it would be made, never get its certificates, and nobody would know why. */
import { z } from "zod";
import type { Context } from "../handler.ts";

/** How a PoP joins, as its auth key knows it. */
export const TailnetJoin = z.strictObject({
  /** Its name in the tailnet, e.g. pop-cdg-1. */
  node: z.string().min(1),
  driver: z.enum(["tailscale", "headscale"]),
  /** URL of the control server. Absent: Tailscale's own. */
  server: z.string().optional(),
  /** PEM of the authorities of its certificate instead of the public ones. */
  ca: z.string().optional(),
  /** When the key it was given ends, RFC 3339. */
  expires: z.string().min(1),
});
export type TailnetJoin = z.infer<typeof TailnetJoin>;

/**
 * Throws when the key has ended and the tailnet has no such node, which would have a key of its own on its volume. A tailnet that cannot be asked refuses nothing.
 * The control server is asked only about a key that has ended.
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
      `${pop}: no machine made or changed, its auth key ended at ${expires} and ${node} is not in the tailnet, so it could never join. Run again with --refresh, which makes another key: npx pulumi up --refresh`,
    );
  context.log(
    `${pop}: its auth key ended at ${expires}, and whether ${node} joined before cannot be asked. If it does not come into the tailnet: npx pulumi up --refresh`,
  );
}
