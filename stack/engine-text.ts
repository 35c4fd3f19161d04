/** Texts of Pulumi's engine. */

/** The last part of a URN: the resource's name. */
export const nameOf = (urn: string): string => urn.split("::").at(-1) ?? urn;

/** A message without the engine's colour marks and outer blanks. */
export const plainText = (message: string): string => message.replaceAll(/<\{%.*?%\}>/g, "").trim();
