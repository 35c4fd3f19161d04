/**
 * The recipients of a secrets file. A PoP is marked in the file by a comment after its key (`ssh-ed25519 AAAA... fly-pops:prod/cdg-1`), which sops keeps
 * and ignores. So the key is still known as that of a PoP after the PoP was removed from stack and state. Pure.
 */
import { naturalOrder } from "../lib/order.ts";
import { plainRecipient, type SopsFile } from "./file.ts";

/** Recipients of PoPs by PoP name, e.g. { "cdg-1": "ssh-ed25519 AAAA..." }: the stack's output `recipients`. */
export type PopRecipients = Readonly<Record<string, string>>;

export interface Recipient {
  /** sops's name of its type: age (SSH keys too), pgp, kms, ... */
  kind: string;
  /** As written in the file. */
  id: string;
  /** `departed`: key of a removed PoP of this stack, or a former key of one. `unknown`: an SSH key of the type that PoPs have, without a known owner. */
  who: "operator" | "unknown" | "departed" | "pop" | "other stack";
  /** The PoP or former PoP; for another stack with the name of the stack, `staging/lhr-1`. */
  pop?: string;
}

/** What is known for classifying recipients. */
export interface Known {
  /** Name of the stack, without organization and project. */
  stack: string;
  /** The stack's output `recipients`. Absent: it could not be read, so every mark is believed. */
  pops?: PopRecipients | undefined;
  /** Recipients that .sops.yaml names for this file: operators. */
  operators?: readonly string[];
}

const mark = (stack: string, pop: string): string => `fly-pops:${stack}/${pop}`;

/** The recipient of a PoP with its mark, as written in a file. */
export const marked = (recipient: string, stack: string, pop: string): string =>
  `${plainRecipient(recipient)} ${mark(stack, pop)}`;

const commentOf = (recipient: string): string => recipient.trim().split(/\s+/).slice(2).join(" ");

const order: readonly Recipient["who"][] = ["operator", "unknown", "departed", "pop", "other stack"];

/** All recipients of the file, operators first. */
export function recipientsOf({ recipients }: Pick<SopsFile, "recipients">, known: Known): Recipient[] {
  return recipients
    .map(({ kind, id }) => ({ kind, id, ...(kind === "age" ? whoIs(id, known) : { who: "operator" as const }) }))
    .toSorted((a, b) => order.indexOf(a.who) - order.indexOf(b.who) || naturalOrder(a.pop ?? "", b.pop ?? ""));
}

function whoIs(id: string, { stack, pops, operators = [] }: Known): Pick<Recipient, "who" | "pop"> {
  const key = plainRecipient(id);
  const [pop] = Object.entries(pops ?? {}).find(([, recipient]) => plainRecipient(recipient) === key) ?? [];
  if (pop !== undefined) return { who: "pop", pop };
  const comment = commentOf(id);
  const [, of, name] = /^fly-pops:(\S+)\/(\S+)$/.exec(comment) ?? [];
  if (name !== undefined) {
    if (of !== stack) return { who: "other stack", pop: `${of}/${name}` };
    return { who: pops === undefined ? "pop" : "departed", pop: name };
  }
  const isOperator =
    comment !== "" || !key.startsWith("ssh-ed25519 ") || operators.some((it) => plainRecipient(it) === key);
  return { who: isOperator ? "operator" : "unknown" };
}

/** What is to be done about recipients, a sentence each; none: nothing. `name`: of the file. */
export function recipientFaults(
  recipients: readonly Recipient[],
  name: string,
): { departed: string[]; unknown: string[] } {
  return {
    departed: recipients
      .filter(({ who }) => who === "departed")
      .map(
        ({ pop }) =>
          `${name} still opens with the key of ${pop}, which is not a PoP of the stack any more. Remove it: npx fly-pops secrets rekey --pops (or --no-pops), then change the secrets it opened`,
      ),
    unknown: recipients
      .filter(({ who }) => who === "unknown")
      .map(
        ({ id }) =>
          `${name} opens with ${id}, and nothing says whose key that is: a PoP's that left, or an operator's. Take it out: npx fly-pops secrets rekey --remove '${id}'. An operator's is known by a name behind it: npx fly-pops secrets rekey --add '${id} NAME'`,
      ),
  };
}

export interface Rekey extends Known {
  pops: PopRecipients;
  /**
   * Whether the file is to name the stack's PoPs, so that it goes to them as it is and a deployment needs no key. Either way those that left go.
   * Absent: PoPs stay as the file has them.
   */
  namePops?: boolean | undefined;
  /** age or SSH recipients that come; a name behind an SSH key is kept. */
  add?: readonly string[];
  /** age or SSH recipients that go. */
  remove?: readonly string[];
}

export interface RekeyPlan {
  /** As the file is to have them. */
  add: string[];
  /** As the file has them: sops compares the whole text. */
  remove: string[];
}

/** Recipients to add and to remove, so that a file has the right ones. One whose comment changes is removed and added. */
export function rekeyPlan(file: SopsFile, change: Rekey): RekeyPlan {
  const { stack, pops, namePops, add = [], remove = [] } = change;
  const leaving = new Set(remove.map(plainRecipient));
  const wanted = new Map<string, string>();
  for (const { kind, id, who } of recipientsOf(file, change)) {
    const goes =
      leaving.has(plainRecipient(id)) ||
      (namePops !== undefined && who === "departed") ||
      (namePops === false && who === "pop");
    if (kind === "age" && !goes) wanted.set(plainRecipient(id), id);
  }
  if (namePops)
    for (const [pop, recipient] of Object.entries(pops))
      wanted.set(plainRecipient(recipient), marked(recipient, stack, pop));
  for (const recipient of add) {
    const key = plainRecipient(recipient);
    if (!wanted.has(key) || commentOf(recipient) !== "") wanted.set(key, recipient.trim().split(/\s+/).join(" "));
  }
  const named = new Set(wanted.values());
  return {
    add: [...named].filter((id) => !file.age.includes(id)).toSorted(),
    remove: file.age.filter((id) => !named.has(id)).toSorted(),
  };
}

/** Why a change contradicts itself or leaves no recipient, as a sentence; undefined: it does not. */
export function rekeyFault(file: SopsFile, change: Rekey, name: string): string | undefined {
  const { namePops, add = [], remove = [], operators = [] } = change;
  const rows = recipientsOf(file, change);
  for (const id of remove) {
    const key = plainRecipient(id);
    if (add.some((it) => plainRecipient(it) === key)) return `${id} cannot both come and go.`;
    const same = rows.find((it) => plainRecipient(it.id) === key);
    if (same === undefined && !operators.some((it) => plainRecipient(it) === key))
      return `${name}: no such recipient, ${id}. It names ${rows.map((it) => it.id).join("; ")}.`;
    if (same !== undefined && same.kind !== "age")
      return `${id} is a recipient of kind ${same.kind}, which sops itself takes out: sops rotate --in-place --rm-${same.kind.replaceAll("_", "-")} ${id} ${name}.`;
    if (same?.who === "pop" && namePops)
      return `${id} is the key of PoP ${same.pop}, which --pops names. Take --no-pops, or take the PoP out of the stack first.`;
  }
  return undefined;
}
