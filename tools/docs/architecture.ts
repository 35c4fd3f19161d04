/** Writes the column "imports from" of the table in docs/architecture.md from the imports themselves: `npm run docs`. A test compares. */
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type Import, importsIn } from "../imports/graph.ts";
import { importedRooms, layers, roomOf } from "../imports/rooms.ts";

const root = join(import.meta.dirname, "..", "..");
export const architecturePath = new URL("../../docs/architecture.md", import.meta.url);

/** Imports between all of the project's own sources. */
export const projectImports = (): Import[] =>
  importsIn(
    new Map(
      globSync("{.github/scripts/,*/**/,}*.{ts,mjs,cjs}", { cwd: root, exclude: ["node_modules"] })
        .toSorted()
        .map((file) => [file, readFileSync(join(root, file), "utf8")]),
    ),
  );

const row = /^\| (`.+?) \| (.+) \| (.+?) \|$/gm;

/** Rooms that a cell names: `config/` and `config.ts` are config. */
const roomsIn = (cell: string): string[] => [
  ...new Set([...cell.matchAll(/`([^`]+)`/g)].map(([, name = ""]) => roomOf(name.replace(/\/$/, "")) ?? name)),
];

/** The first cell of each row, by the room that it names. */
const rowsIn = (table: string): [room: string, cell: string][] =>
  [...table.matchAll(row)].flatMap(([, cell = ""]) => roomsIn(cell).map((room): [string, string] => [room, cell]));

/** The page as it should be. */
export function architecturePage(page: string, imports: readonly Import[]): string {
  const [table = "", ...rest] = page.split("\n## ");
  const isRoom = (name: string) => layers.flat().includes(name);
  const written = table.replaceAll(row, (_, cell: string, what: string) => {
    const found = roomsIn(cell)
      .filter(isRoom)
      .flatMap((room) => importedRooms(room, imports));
    const named = found.map((room) => `\`${room}${room.includes(".") ? "" : "/"}\``);
    return `| ${cell} | ${what} | ${cell === "`test/`" ? "everything" : named.join(", ") || "nothing"} |`;
  });
  return [written, ...rest].join("\n## ");
}

/** Rooms of the product and of its tools that have no row, or are in another order than their layers. Empty: all is well. */
export function misplacedRows(page: string): string[] {
  const [table = ""] = page.split("\n## ");
  const named = rowsIn(table).map(([room]) => room);
  const wanted = layers.flat().filter((room) => !/^test\/|^\.|\.config\.ts$/.test(room));
  const missing = wanted.filter((room) => !named.includes(room)).map((room) => `${room}: no row`);
  const known = named.filter((room) => wanted.includes(room));
  const layerOf = (room: string) => layers.findIndex((layer) => layer.includes(room));
  const early = known.filter((room, at) => known.slice(at + 1).some((later) => layerOf(later) < layerOf(room)));
  return [...missing, ...early.map((room) => `${room}: before a room of a lower layer`)];
}
