import { constants } from "node:os";
import { invalidArgument } from "../core/errors.ts";

const names = Object.keys(constants.signals);

/** A signal by its name, as the document has it, or by its number, as fly-go sends it. Nothing stays nothing; another word is a 400. */
export function signalName(signal: string | number | undefined): string | undefined {
  if (signal === undefined || signal === "" || signal === 0) return undefined;
  const number = typeof signal === "number" ? signal : /^\d+$/.test(signal) ? Number(signal) : undefined;
  const name =
    number === undefined
      ? String(signal).toUpperCase()
      : names.find((it) => constants.signals[it as NodeJS.Signals] === number);
  if (name === undefined || !names.includes(name)) throw invalidArgument(`unknown signal ${JSON.stringify(signal)}`);
  return name;
}
