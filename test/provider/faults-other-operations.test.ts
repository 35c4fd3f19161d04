import { testOperations } from "./faults-tests.ts";

testOperations(({ kind, verb }) => kind !== "Identity" && (kind !== "Machine" || verb === "read" || verb === "delete"));
