/** The rooms of the project, which are its directories and some files, and the one direction that imports go between them. */
import type { Import } from "./graph.ts";

/**
 * From the lowest to the highest. A room imports from rooms of earlier lines only, so neither from a later one nor from another of its own line.
 * The room of a file is the longest name here that its path begins with.
 */
export const layers: readonly (readonly string[])[] = [
  ["setup", "homelab", ".github"],
  ["lib"],
  ["fly", "sops", "tailnet", "image"],
  ["config", "providers", "status-page"],
  // Pulumi's plugin for dynamic providers, which loads ours. Setup does not import it.
  ["components", "setup/dynamic-host"],
  ["index.ts", "stack"],
  ["policy"],
  ["preview", "local"],
  ["cli"],
  // What tests share with benchmarks and generators. All above is the product, and imports none of it.
  ["test/support"],
  ["test/image/support", "test/sim"],
  ["test/soak/cache-suite"],
  ["tools", "bench"],
  ["test"],
  ["vitest.config.ts"],
];

/** Files outside of a room's directory. */
const aliases: Record<string, string> = { "config.ts": "config" };

const rooms = layers.flat();

/** Undefined: a file of no room, as in a new directory. */
export function roomOf(path: string): string | undefined {
  const [room] = rooms.filter((it) => path === it || path.startsWith(`${it}/`)).toSorted((a, b) => b.length - a.length);
  return room ?? aliases[path];
}

const layerOf = (room: string | undefined): number =>
  layers.findIndex((layer) => room !== undefined && layer.includes(room));

/** Imports that go up, or to another room of the same line. */
export const upwardImports = (imports: readonly Import[]): Import[] =>
  imports.filter(({ from, to }) => {
    const [a, b] = [roomOf(from), roomOf(to)];
    return a !== b && layerOf(b) >= layerOf(a);
  });

/** Rooms that a room imports from, from the lowest to the highest. */
export function importedRooms(room: string, imports: readonly Import[]): string[] {
  const found = new Set(imports.filter(({ from }) => roomOf(from) === room).map(({ to }) => roomOf(to)));
  return rooms.filter((it) => it !== room && found.has(it));
}
