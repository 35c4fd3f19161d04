/**
 * The auth key with which a PoP joins the tailnet. It is created for one PoP and encrypted to its identity at once; state holds its id, expiry and
 * ciphertext. A new key is created only for a PoP that must join again: after joining, the PoP uses its node key on its volume.
 */
import { isDeepStrictEqual } from "node:util";
import type * as pulumi from "@pulumi/pulumi";
import { z } from "zod";
import { sleep } from "../lib/clock.ts";
import { SopsError } from "../sops/cli.ts";
import { encryptFor } from "../sops/encrypt-for.ts";
import {
  findNodesNamed,
  findOwnNodes,
  type JoinTraces,
  joinedWithKey,
  offlineForMs,
  staleAfterMs,
} from "../tailnet/nodes.ts";
import { type Device, type MintedKey, TailnetError } from "../tailnet/tailnet-api.ts";
import { type ChangeAction, type Context, type Handler, noRecords } from "./handler.ts";
import { type Args, FlyResource } from "./resource.ts";

const lifecycle = {
  pop: "ignored",
  node: "ignored", // a node changes its name by itself
  driver: "update",
  server: "update",
  ca: "ignored",
  tags: "update",
  recipient: "replace", // another identity is another PoP
  isNew: "ignored", // used at create only
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
  /** PEM of the CA certificates to trust for it instead of the public ones. */
  ca: z.string().optional(),
  /** Tags of the node, without their `tag:`. */
  tags: z.array(z.string().min(1)).min(1),
  /** The PoP's identity: `ssh-ed25519 AAAA...` */
  recipient: z.string().min(1),
  /** True if the PoP did not run before: then a node with its name is a stale one. */
  isNew: z.boolean(),
  /** Key of the auth key in the encrypted file. */
  secretName: z.string().min(1),
});
export type AuthKeyInputs = z.infer<typeof AuthKeyInputs>;
export type AuthKeyOutputs = AuthKeyInputs & {
  schemaVersion: 1;
  /** Id of the key at the control server. */
  keyId: string;
  /** When the key expires, RFC 3339. */
  expires: string;
  /** A sops file (YAML) that the PoP's identity decrypts. */
  sealed: string;
  /** Id of the PoP's device, if it joined with a former key that was replaced. */
  device?: string;
};

/** Long enough for a first deployment, short enough for an unused key. */
const expirySeconds = 3600;

const tailnetApi = ({ driver, server, ca }: AuthKeyInputs, { tailnet }: Context) => tailnet({ driver, server, ca });

async function mintAndSeal(inputs: AuthKeyInputs, context: Context): Promise<AuthKeyOutputs> {
  const { pop, tags, recipient, secretName } = inputs;
  const api = tailnetApi(inputs, context);
  const { id, key, expires }: MintedKey = await api.mint({ tags, expirySeconds, description: `fly-pops ${pop}` });
  try {
    const text = await encryptFor({ [secretName]: key }, recipient, context.sops);
    context.log(`${pop}: auth key ${id} created, valid until ${expires}`);
    return { ...inputs, schemaVersion: 1, keyId: id, expires, sealed: text };
  } catch (error) {
    await api.revoke(id).catch(() => undefined);
    if (!(error instanceof SopsError)) throw error;
    throw new Error(`${pop}: its auth key was not encrypted: ${error.message}. The key was revoked.`);
  }
}

/**
 * Removes stale nodes with the PoP's name, with which the new one would join as `node-1`. A node that is online is in use, most likely by another stack,
 * and is never removed.
 */
async function removeStaleNodes(inputs: AuthKeyInputs, context: Context): Promise<void> {
  const { pop, node } = inputs;
  const api = tailnetApi(inputs, context);
  const devices = await api.devices();
  if (devices === undefined)
    return context.log(
      `${pop}: the credentials may not see devices. If the tailnet has a stale ${node}, remove it, or this one joins as ${node}-1`,
    );
  const found = findNodesNamed(devices, inputs);
  const alive = found.find((it) => offlineForMs(it, context.clock.now()) < staleAfterMs);
  if (alive)
    throw new Error(
      `${pop}: no auth key created, the tailnet already has a ${node} that ${alive.online ? "is online" : "was online minutes ago"} (device ${alive.id}). If it belongs to another stack, set another tailnet.hostPrefix for this one. If it is this PoP itself: npx pulumi up --replace '**${pop}-identity'. If it is not needed, remove it from the tailnet. Then run again.`,
    );
  for (const { id } of found) {
    await api.removeDevice(id);
    context.log(`${pop}: removed device ${id}, a stale ${node}`);
  }
}

const sameTags = (a: readonly string[], b: readonly string[]): boolean =>
  isDeepStrictEqual([...new Set(a)].toSorted(), [...new Set(b)].toSorted());

/**
 * Changes the tags of the PoP's node, at a control server where a new key would not. @returns false if a new key is needed: the control server takes
 * the tags from it, or the PoP has not joined yet.
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
      `${pop}: nodes ${first.id} and ${second.id} of the tailnet are both called ${node}, so it is unclear which one is this PoP's. Its tags were not changed. Remove the other one, or set another tailnet.hostPrefix for this stack.`,
    );
  if (sameTags(first.tags, tags)) return true;
  await api.setTags(first.id, tags);
  const [now] = (await nodes()).filter(({ id }) => id === first.id);
  if (now === undefined || !sameTags(now.tags, tags))
    throw new Error(
      `${pop}: the control server accepted the tags ${tags.join(", ")} for node ${first.id}, but shows ${now?.tags.join(", ") ?? "none of them"}. Check it there: headscale nodes list`,
    );
  context.log(`${pop}: node ${first.id} has the tags ${tags.join(", ")} now`);
  return true;
}

/** Tags of the node that were changed at a control server where they can be set back; undefined: unchanged, or unknown. */
async function changedTags(outs: AuthKeyOutputs, context: Context): Promise<string[] | undefined> {
  if (tailnetApi(outs, context).setTags === undefined) return undefined;
  const nodes = ((await tryListDevices(outs, context)) ?? []).filter(({ hostname }) => hostname === outs.node);
  const [only] = nodes;
  if (nodes.length !== 1 || only === undefined || only.tags.length === 0 || sameTags(only.tags, outs.tags))
    return undefined;
  return only.tags.toSorted();
}

/** Polls for the node of a stopped machine to go offline. */
const maxPolls = 15;
const pollMs = 2_000;

/** Removes the PoP's own node from the tailnet once it is offline. */
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
        `${pop}: device ${id} is kept in the tailnet, a ${node} that ${online ? "is online" : "is not known to be this stack's"}; remove it there if it is not needed`,
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

/** Whether both keys are for the same PoP, under different records in state. */
const samePop = (one: AuthKeyInputs, other: AuthKeyInputs): boolean =>
  one.node === other.node && one.recipient === other.recipient;

/** Runs `work`, and turns errors of a control server into messages with advice. */
async function withAdvice<T>({ pop }: AuthKeyInputs, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TailnetError)) throw error;
    throw new Error(`${pop}: ${error.message}. ${advice(error)}`);
  }
}

function advice({ status, message }: TailnetError): string {
  if (status === 401) return "The control server does not know the credentials: create new ones, then run again.";
  if (/tag/i.test(message) && status !== undefined && status < 500)
    return "The tags must be in the tailnet's policy under tagOwners, and the OAuth client must own them.";
  if (status === 403) return "The credentials may not do this: they need the scope auth_keys and the PoPs' tags.";
  return "Run again: an unused key expires by itself within an hour.";
}

export const authKeyHandler = {
  schema: AuthKeyInputs,
  lifecycle,
  // The node of the old key is removed before the new one joins with the same name.
  deleteBeforeReplace: true,
  create: (inputs, context, { known } = noRecords) =>
    withAdvice(inputs, async () => {
      // If state has a key for this node, it is of this stack.
      if (inputs.isNew && !known.some(({ node }) => node === inputs.node)) await removeStaleNodes(inputs, context);
      const outs = await mintAndSeal(inputs, context);
      return { id: `${outs.driver}-${outs.keyId}`, outs };
    }),
  async read(_id, outs, context) {
    const { schemaVersion: _, keyId: __, expires, sealed: ___, device: ____, ...inputs } = outs;
    // A used key looks like one that never existed, so its own state says nothing. An expired key without a node of its name was never used: create another.
    if (Date.parse(expires) < context.clock.now()) {
      const devices = await tryListDevices(outs, context);
      if (devices !== undefined && findNodesNamed(devices, outs).length === 0) {
        context.log(
          `${outs.pop}: its auth key expired, and the tailnet has no ${outs.node}; the next up creates another key`,
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
      // The node joined with the former key, if at all.
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
        context.log(`${outs.pop}: ${outs.node} is kept in the tailnet, remove it there (${(error as Error).message})`);
      }
    }),
} satisfies Handler<AuthKeyInputs, AuthKeyOutputs>;

/** Revokes the key unless it has expired, which needs no credentials. */
async function revokeIfUnexpired(outs: AuthKeyOutputs, context: Context): Promise<void> {
  if (Date.parse(outs.expires) > context.clock.now()) await tailnetApi(outs, context).revoke(outs.keyId);
}

/** Devices of the tailnet; undefined: they cannot be listed. A refresh must not fail because of missing credentials. */
async function tryListDevices(outs: AuthKeyOutputs, context: Context): Promise<Device[] | undefined> {
  try {
    return await tailnetApi(outs, context).devices();
  } catch (error) {
    context.log(`${outs.pop}: the tailnet could not be read (${(error as Error).message})`);
    return undefined;
  }
}

export class AuthKey extends FlyResource<AuthKeyInputs> {
  /** A sops file that the PoP's identity decrypts. */
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
