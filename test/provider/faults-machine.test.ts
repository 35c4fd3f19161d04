import { testOperations } from "../support/faults/page.ts";

testOperations(({ kind, verb, undone }) => kind === "Machine" && (verb === "create" || verb === "update") && !undone);
