/**
 * The key by which a PoP joins the tailnet: made for it alone, sealed to its identity at once. State knows its id, its end and its ciphertext. It is
 * made anew only for a PoP that must join anew; one that joined has a key of its own, on its volume, and needs this one no more.
 */
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { sleep } from "../clock.ts";
import { type ChangeAction, type Context, type Handler, noRecords } from "../handler.ts";
import { type Args, FlyResource } from "../resource.ts";
import { SopsError } from "../sops/cli.ts";
import { encryptFor } from "../sops/encrypt-for.ts";
import { findNodesNamed, findOwnNodes, type JoinTraces, joinedWithKey, offlineForMs, staleAfterMs } from "./nodes.ts";
import { type Device, type MintedKey, TailnetError } from "./tailnet-api.ts";

const lifecycle = {
  pop: "ignored",
  node: "ignored", // a node renames itself
  driver: "update",
  server: "update",
  ca: "ignored",
  tags: "update",
  recipient: "replace", // another identity is another PoP
  isNew: "ignored", // said once, at create
  secretName: "update",
} satisfies Record<keyof AuthKeyInputs, ChangeAction>;

export const AuthKeyInputs = z.strictObject({
  /** PoP it is for, e.g. cdg-1. */
  pop: z.string(),
  /** Its name in the tailnet, e.g. pop-cdg-1. */
  node: z.string().min(1),
  driver: z.enum(["tailscale", "headscale"]),
  /** URL of the control server. Absent: Tailscale's own. */
  server: z.string().optional(),
  /** PEM of the authorities of its certificate instead of the public ones. */
  ca: z.string().optional(),
  /** Tags of the node, without their `tag:`. */
  tags: z.array(z.string().min(1)).min(1),
  /** The PoP's identity: `ssh-ed25519 AAAA...` */
  recipient: z.string().min(1),
  /** True when the PoP did not run yet: then a node of its name is one of an earlier life. */
  isNew: z.boolean(),
  /** Key under which the sealed file has it. */
  secretName: z.string().min(1),
});
export type AuthKeyInputs = z.infer<typeof AuthKeyInputs>;
export type AuthKeyOutputs = AuthKeyInputs & {
  schemaVersion: 1;
  /** The control server's id of it. */
  keyId: string;
  /** When it ends, RFC 3339. */
  expires: string;
  /** A sops file (YAML) that the PoP's identity opens. */
  sealed: string;
  /** Device of the PoP, once a former key of it was replaced. */
  device?: string;
};

/** Long enough for a first deployment, short enough for a key nobody used. */
const expirySeconds = 3600;

const tailnetApi = ({ driver, server, ca }: AuthKeyInputs, { tailnet }: Context) => tailnet({ driver, server, ca });

async function mintAndSeal(inputs: AuthKeyInputs, context: Context): Promise<AuthKeyOutputs> {
  const { pop, tags, recipient, secretName } = inputs;
  const api = tailnetApi(inputs, context);
  const { id, key, expires }: MintedKey = await api.mint({ tags, expirySeconds, description: `fly-pops ${pop}` });
  try {
    const text = await encryptFor({ [secretName]: key }, recipient, context.sops);
    context.log(`${pop}: auth key ${id} made, good until ${expires}`);
    return { ...inputs, schemaVersion: 1, keyId: id, expires, sealed: text };
  } catch (error) {
    await api.revoke(id).catch(() => undefined);
    if (!(error instanceof SopsError)) throw error;
    throw new Error(`${pop}: its auth key was not sealed, ${error.message}. The key was revoked.`);
  }
}

/**
 * Nodes of an earlier life of the PoP: with one there, the new one would join as `node-1`. Who has its name and is alive is somebody's, most likely
 * another stack's, and is never touched.
 */
async function removeStaleNodes(inputs: AuthKeyInputs, context: Context): Promise<void> {
  const { pop, node } = inputs;
  const api = tailnetApi(inputs, context);
  const devices = await api.devices();
  if (devices === undefined)
    return context.log(
      `${pop}: the credentials may not see devices. If there is an old ${node} in the tailnet, remove it, or this one joins as ${node}-1`,
    );
  const found = findNodesNamed(devices, inputs);
  const alive = found.find((it) => offlineForMs(it, context.clock.now()) < staleAfterMs);
  if (alive)
    throw new Error(
      `${pop}: no auth key made, the tailnet has a ${node} already that ${alive.online ? "is online" : "was online minutes ago"} (device ${alive.id}). If it is another stack's, give this one a tailnet.hostPrefix of its own. If it is this PoP itself: npx pulumi up --replace '**${pop}-identity'. If nobody needs it, remove it from the tailnet. Then run again.`,
    );
  for (const { id } of found) {
    await api.removeDevice(id);
    context.log(`${pop}: removed device ${id}, the ${node} of an earlier life`);
  }
}

const sameTags = (a: readonly string[], b: readonly string[]): boolean =>
  isDeepStrictEqual([...new Set(a)].toSorted(), [...new Set(b)].toSorted());

/**
 * Gives the PoP's node other tags where a new key would not. @returns false when a key is needed: the control server takes tags from it, or the PoP is no
 * node yet.
 */
async function retag(olds: AuthKeyOutputs, news: AuthKeyInputs, context: Context): Promise<boolean> {
  const { pop, node, tags } = news;
  const unchanged = (["driver", "server", "secretName"] as const).every((key) => olds[key] === news[key]);
  const api = tailnetApi(news, context);
  if (!unchanged || api.setTags === undefined) return false;
  const nodes = async () =>
    ((await api.devices()) ?? []).filter(
      (it) => it.hostname === node && (sameTags(it.tags, olds.tags) || sameTags(it.tags, tags)),
    );
  const [first, second] = await nodes();
  if (first === undefined) return false;
  if (second !== undefined)
    throw new Error(
      `${pop}: nodes ${first.id} and ${second.id} of the tailnet are both called ${node}, so which one is this PoP's is unclear. Its tags were not changed. Remove the one that is not, or give this stack a tailnet.hostPrefix of its own.`,
    );
  if (sameTags(first.tags, tags)) return true;
  await api.setTags(first.id, tags);
  const [now] = (await nodes()).filter(({ id }) => id === first.id);
  if (now === undefined || !sameTags(now.tags, tags))
    throw new Error(
      `${pop}: the control server took the tags ${tags.join(", ")} for node ${first.id}, and shows ${now?.tags.join(", ") ?? "none of them"}. Look at it there: headscale nodes list`,
    );
  context.log(`${pop}: node ${first.id} has the tags ${tags.join(", ")} now`);
  return true;
}

/** Tags that somebody changed at a control server where they can be set back. */
async function changedTags(outs: AuthKeyOutputs, context: Context): Promise<string[] | undefined> {
  if (tailnetApi(outs, context).setTags === undefined) return undefined;
  const nodes = ((await tryListDevices(outs, context)) ?? []).filter(({ hostname }) => hostname === outs.node);
  const [only] = nodes;
  if (nodes.length !== 1 || only === undefined || only.tags.length === 0 || sameTags(only.tags, outs.tags))
    return undefined;
  return only.tags.toSorted();
}

/** How often, and how far apart, the tailnet is asked whether a machine that was stopped is gone from it. */
const maxPolls = 15;
const pollMs = 2_000;

/** Takes the PoP's own node out of the tailnet, once it is offline. */
async function removeOwnNodes(outs: AuthKeyOutputs, context: Context): Promise<void> {
  const { pop, node } = outs;
  const api = tailnetApi(outs, context);
  for (let poll = 1; ; poll++) {
    const devices = await api.devices();
    if (devices === undefined)
      return context.log(`${pop}: the credentials may not see devices. Remove ${node} yourself`);
    const found = findNodesNamed(devices, outs);
    const own = findOwnNodes(found, traces(outs), context.clock.now());
    if (
      poll < maxPolls &&
      (own.some(({ online }) => online) || (own.length === 0 && found.some(({ online }) => online)))
    ) {
      await sleep(context.clock, pollMs);
      continue;
    }
    for (const { id } of own.filter(({ online }) => !online)) {
      await api.removeDevice(id);
      context.log(`${pop}: removed device ${id}, its node ${node}`);
    }
    for (const { id, online } of found.filter((it) => it.online || !own.includes(it)))
      context.log(
        `${pop}: device ${id} stays in the tailnet, a ${node} that ${online ? "is online" : "is not known to be this stack's"}; remove it there if nobody needs it`,
      );
    return;
  }
}

const traces = ({ keyId, expires, device }: AuthKeyOutputs): JoinTraces => ({
  keyId,
  expires,
  seconds: expirySeconds,
  device,
});

/** True for the key of the same PoP under another record. */
const samePop = (one: AuthKeyInputs, other: AuthKeyInputs): boolean =>
  one.node === other.node && one.recipient === other.recipient;

/** Errors of a control server as a sentence for people. */
async function withAdvice<T>({ pop }: AuthKeyInputs, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TailnetError)) throw error;
    throw new Error(`${pop}: ${error.message}. ${advice(error)}`);
  }
}

function advice({ status, message }: TailnetError): string {
  if (status === 401) return "The control server does not know the credentials: make new ones, then run again.";
  if (/tag/i.test(message) && status !== undefined && status < 500)
    return "The tags must be in the tailnet's policy under tagOwners, and the OAuth client must own them.";
  if (status === 403) return "The credentials may not do this: they need the scope auth_keys and the PoPs' tags.";
  return "Run again: a key nobody used ends by itself within the hour.";
}

export const authKeyHandler = {
  schema: AuthKeyInputs,
  lifecycle,
  // The old one takes its node along, before the new one comes by the same name.
  deleteBeforeReplace: true,
  create: (inputs, context, { known } = noRecords) =>
    withAdvice(inputs, async () => {
      // One that state had a key for is this stack's.
      if (inputs.isNew && !known.some(({ node }) => node === inputs.node)) await removeStaleNodes(inputs, context);
      const outs = await mintAndSeal(inputs, context);
      return { id: `${outs.driver}-${outs.keyId}`, outs };
    }),
  async read(_id, outs, context) {
    const { schemaVersion: _, keyId: __, expires, sealed: ___, device: ____, ...inputs } = outs;
    // A used key looks like one that never was, so the key itself tells nothing. One that ended, with no node of its name there, was of no use: another is needed.
    if (Date.parse(expires) < context.clock.now()) {
      const devices = await tryListDevices(outs, context);
      if (devices !== undefined && findNodesNamed(devices, outs).length === 0) {
        context.log(
          `${outs.pop}: its auth key ended, and there is no ${outs.node} in the tailnet; the next up makes another`,
        );
        return undefined;
      }
    }
    const tags = await changedTags(outs, context);
    if (tags === undefined) return { outs, inputs };
    context.log(`${outs.pop}: its node has the tags ${tags.join(", ")} instead of ${outs.tags.join(", ")}`);
    return { outs: { ...outs, tags }, inputs: { ...inputs, tags } };
  },
  update: (_id, olds, news, context) =>
    withAdvice(news, async () => {
      const same = (["driver", "server", "tags", "secretName"] as const).every((key) =>
        isDeepStrictEqual(olds[key], news[key]),
      );
      if (same || (await retag(olds, news, context))) return { ...olds, ...news };
      const made = await mintAndSeal(news, context);
      // By the former key it joined, if it did.
      const found = findNodesNamed((await tryListDevices(olds, context)) ?? [], olds);
      const device = found.find((it) => joinedWithKey(it, traces(olds)))?.id;
      const outs = device === undefined ? made : { ...made, device };
      await revokeIfUnexpired(olds, context).catch((error: unknown) =>
        context.log(`${news.pop}: the former auth key ${olds.keyId} was not revoked (${(error as Error).message})`),
      );
      return outs;
    }),
  delete: (_id, outs, context, { kept } = noRecords) =>
    withAdvice(outs, async () => {
      await revokeIfUnexpired(outs, context);
      if ([...kept.values()].some((it) => samePop(it, outs))) return;
      try {
        await removeOwnNodes(outs, context);
      } catch (error) {
        context.log(`${outs.pop}: ${outs.node} stays in the tailnet, remove it there (${(error as Error).message})`);
      }
    }),
} satisfies Handler<AuthKeyInputs, AuthKeyOutputs>;

/** An ended key needs no revoking, and so no credentials. */
async function revokeIfUnexpired(outs: AuthKeyOutputs, context: Context): Promise<void> {
  if (Date.parse(outs.expires) > context.clock.now()) await tailnetApi(outs, context).revoke(outs.keyId);
}

/** A refresh must not fail for want of credentials: then what state knows stays. */
async function tryListDevices(outs: AuthKeyOutputs, context: Context): Promise<Device[] | undefined> {
  try {
    return await tailnetApi(outs, context).devices();
  } catch (error) {
    context.log(`${outs.pop}: the tailnet was not asked (${(error as Error).message})`);
    return undefined;
  }
}

export class AuthKey extends FlyResource<AuthKeyInputs> {
  /** A sops file that the PoP's identity opens. */
  declare readonly sealed: pulumi.Output<string>;
  declare readonly expires: pulumi.Output<string>;
  constructor(name: string, args: Args<AuthKeyInputs>, opts?: pulumi.CustomResourceOptions) {
    super(
      "AuthKey",
      name,
      args,
      { schemaVersion: undefined, keyId: undefined, expires: undefined, sealed: undefined },
      opts,
    );
  }
}
