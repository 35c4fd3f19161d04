import { testOperations } from "./test-operations.ts";

testOperations(({ kind, verb, undone }) => kind === "Machine" && (verb === "create" || verb === "update") && !undone);
