/** The imports between files: which there are, and whether they go in circles. Pure. */
import { dirname, join } from "node:path/posix";
import ts from "typescript";

export interface Import {
  /** Paths relative to the project. */
  from: string;
  to: string;
}

/** Sources by path. */
export type Sources = ReadonlyMap<string, string>;

/** Imports of one source file by another: static and dynamic ones, those of types too, and calls of require. */
export function importsIn(sources: Sources): Import[] {
  return [...sources].flatMap(([from, text]) =>
    ts
      .preProcessFile(text, true, true)
      .importedFiles.map(({ fileName }) => fileName)
      .filter((specifier) => specifier.startsWith("."))
      .map((specifier) => ({ from, to: join(dirname(from), specifier) }))
      .filter(({ to }) => sources.has(to)),
  );
}

/** Files that import each other, in groups. */
export const fileCycles = (imports: readonly Import[]): string[][] => cycles(imports);

/** Entries of one directory, files or directories, that import each other, in groups. */
export function directoryCycles(imports: readonly Import[]): string[][] {
  const siblings = imports.flatMap(({ from, to }) => {
    const [a, b] = [from.split("/"), to.split("/")];
    const common = a.findIndex((part, at) => part !== b[at]);
    // Entries of the project's own directory are rooms (rooms.ts), or parts of them.
    if (common < 1) return [];
    return { from: a.slice(0, common + 1).join("/"), to: b.slice(0, common + 1).join("/") };
  });
  return cycles(siblings);
}

/** Strongly connected components of more than one node, sorted. https://en.wikipedia.org/wiki/Tarjan%27s_strongly_connected_components_algorithm */
function cycles(edges: readonly Import[]): string[][] {
  const targets = Map.groupBy(edges, ({ from }) => from);
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const found: string[][] = [];
  const visit = (node: string): number => {
    const index = order.size;
    order.set(node, index);
    lowest.set(node, index);
    stack.push(node);
    for (const { to } of targets.get(node) ?? []) {
      const reached = !order.has(to) ? visit(to) : stack.includes(to) ? (order.get(to) ?? index) : index;
      lowest.set(node, Math.min(lowest.get(node) ?? index, reached));
    }
    if (lowest.get(node) === index) {
      const group = stack.splice(stack.indexOf(node));
      if (group.length > 1) found.push(group.toSorted());
    }
    return lowest.get(node) ?? index;
  };
  for (const node of targets.keys()) if (!order.has(node)) visit(node);
  return found;
}
