import { ConfigError } from "../../config/issues.ts";

/** The mistakes that parsing finds; none if it succeeds. */
export function mistakesIn(parse: () => unknown): readonly string[] {
  try {
    parse();
  } catch (error) {
    if (error instanceof ConfigError) return error.messages;
    throw error;
  }
  return [];
}
