import { testOperations } from "./faults-tests.ts";

testOperations(({ kind, verb, undone }) => kind === "Machine" && (verb === "create" || verb === "update") && !undone);
