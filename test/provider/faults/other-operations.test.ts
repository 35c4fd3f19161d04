import { testOperations } from "./test-operations.ts";

testOperations(({ kind, verb }) => kind !== "Identity" && (kind !== "Machine" || verb === "read" || verb === "delete"));
