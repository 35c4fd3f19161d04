import { testOperations } from "../support/faults/page.ts";

testOperations(({ kind, verb }) => kind !== "Machine" || verb === "read" || verb === "delete");
