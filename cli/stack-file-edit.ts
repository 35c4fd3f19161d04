/** Edits a stack file and preserves comments, order and layout of everything else. Pure. */

import { isDeepStrictEqual } from "node:util";
import { diffArrays } from "diff";
import {
  type Document,
  isMap,
  isNode,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { keyPrefix } from "../config/keys.ts";
import { ownConfigValues } from "../config/stack-values.ts";

/** The file with exactly these fly-pops keys, given in full. Other keys and secrets stay. */
export function withConfig(text: string, keys: Readonly<Record<string, unknown>>): string {
  const document = parseDocument(text);
  const layout = { lineWidth: 0, flowCollectionPadding: !/\{[^\s}]/.test(text) };
  const before = document.toString(layout);
  const config = document.get("config");
  if (!isMap(config)) document.set("config", document.createNode(keys));
  else {
    const found = Object.keys(config.toJSON() as object).filter((key) => key.startsWith(keyPrefix));
    for (const key of found) if (!(key in keys)) config.delete(key);
    for (const [key, value] of Object.entries(keys)) {
      const node = config.get(key, true);
      // `pulumi config set` may have written the same value as text.
      if (node && isDeepStrictEqual(ownConfigValues({ [key]: json(node) })[key.slice(keyPrefix.length)], value))
        continue;
      edit(document, config, key, value);
    }
  }
  return inLayoutOf(text, before, document.toString(layout));
}

/** Restores the layout of unchanged lines of `after` from `text`. `before` is the original file as the YAML library writes it. */
function inLayoutOf(text: string, before: string, after: string): string {
  const own = paragraphs(text);
  const olds = paragraphs(before);
  if (own.length !== olds.length) return after;
  let at = 0;
  const isSame = (a: string, b: string) => a.trimEnd() === b.trimEnd();
  return diffArrays(olds, paragraphs(after), { comparator: isSame })
    .flatMap(({ added, removed, value }) => {
      if (added) return value;
      at += value.length;
      return removed ? [] : own.slice(at - value.length, at);
    })
    .join("");
}

/** Each line with the empty lines below it, which the library reduces to one. */
const paragraphs = (text: string): string[] => text.split(/^(?=.*\S)/m);

/** Sets one entry of a map or list, changing only what differs below it. */
function edit(document: Document, parent: YAMLMap | YAMLSeq, key: unknown, value: unknown): void {
  const node = parent.get(key, true) as Node | undefined;
  if (isMap(node) && isPlainMap(value)) editMap(document, node, value);
  else if (isSeq(node) && Array.isArray(value)) editList(document, node, value);
  else if (isScalar(node) && !isCollection(value)) node.value = value;
  else parent.set(key, document.createNode(value, { flow: isFlow(node) ?? isFlow(parent) ?? false }));
}

function editMap(document: Document, map: YAMLMap, value: Record<string, unknown>): void {
  const old = map.toJSON() as Record<string, unknown>;
  for (const key of Object.keys(old)) if (!(key in value)) map.delete(key);
  for (const [key, it] of Object.entries(value)) if (!isDeepStrictEqual(old[key], it)) edit(document, map, key, it);
}

/** Edits changed items in place, so that the items around them keep their comments. */
function editList(document: Document, list: YAMLSeq, value: readonly unknown[]): void {
  const changes = diffArrays(list.toJSON() as unknown[], [...value], { comparator: isDeepStrictEqual });
  let at = 0;
  let spare = 0;
  for (const { added, removed, value: items } of changes) {
    if (removed) spare = items.length;
    else if (added) {
      for (const item of items) {
        if (spare > 0) {
          edit(document, list, at, item);
          spare -= 1;
        } else list.items.splice(at, 0, document.createNode(item, { flow: isFlow(list.items.at(0)) ?? false }));
        at += 1;
      }
      list.items.splice(at, spare);
      spare = 0;
    } else {
      list.items.splice(at, spare);
      spare = 0;
      at += items.length;
    }
  }
  list.items.splice(at, spare);
}

const isCollection = (value: unknown): value is object => typeof value === "object" && value !== null;

const isPlainMap = (value: unknown): value is Record<string, unknown> => isCollection(value) && !Array.isArray(value);

const isFlow = (node: unknown): boolean | undefined => (isMap(node) || isSeq(node) ? node.flow === true : undefined);

const json = (node: unknown): unknown => (isNode(node) ? node.toJSON() : node);
