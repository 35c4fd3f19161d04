import { paths } from "../../local/paths.ts";

/**
 * Has the local stack keep some of its files elsewhere, until the returned function is called. Test files of `unit` share their modules, so a mock of paths.ts
 * would not reach a module that an earlier file has loaded, and would stay in one that a later file uses.
 */
export function movePaths(
  elsewhere: Partial<Record<"times" | "registries" | "firstStage" | "daemon", string>>,
): () => void {
  const before = { ...paths };
  Object.assign(paths, elsewhere);
  return () => void Object.assign(paths, before);
}
